import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.command import Refusal
from agent.safety import addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://a.b/c?d=e", "http://a.b/c?d=e"),
        ("HTTP://A.B".lower(), "http://a.b/"),
        ("a.b:80/x", "http://a.b:80/x"),
        ("https://A.B./", "https://a.b/"),
        ("http://[::1]:80/", "http://[::1]:80/"),
        ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"),
    ],
)
def test_a_plain_url_has_one_reading(text, expected):
    assert str(addresses.url(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "http://",
            "http:///x",
            "http://a b/",
            "http://a@b/",
            "http://a\\b/",
            "http://a#b",
            "http://a/#b",
        ),
        *("http://a/{b}", "http://a/[1-2]", "http://a/\nb", "http://1.2.3/", "http://1/", "http://0x1/"),
        *(
            "http://1.2.3.256/",
            "http://01.2.3.4/",
            "http://a..b/",
            "http://-a/",
            "http://a:0/",
            "http://a:70000/",
        ),
        *(
            "http://[::1/",
            "http://::1/",
            "http://[1.2.3.4]x/",
            "file:///x",
            "http:/a",
            "//a/b",
            "http://a%2eb/",
        ),
        *("http://a.0x7f/", "ftp.a.b/", "http://[fe80::1%25eth0]/"),
    ],
)
def test_anything_with_two_readings_is_refused(text):
    assert isinstance(addresses.url(text), Refusal)


@pytest.mark.parametrize(
    ("host", "gives"),
    [
        ("169.254.169.254", True),
        ("169.254.0.1", True),
        ("[::ffff:169.254.169.254]", True),
        ("[fd00:ec2::254]", True),
        ("[fe80::1]", True),
        ("metadata.google.internal", True),
        ("Metadata.Google.Internal.", True),
        ("100.100.100.200", True),
        ("10.0.0.1", False),
        ("localhost", False),
    ],
)
def test_metadata_services_give_credentials(host, gives):
    assert addresses.address(host).gives_credentials is gives


@given(text=st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text):
    found = addresses.address(text)
    assert isinstance(found, (addresses.Address, Refusal))
    if isinstance(found, addresses.Address):
        assert addresses.address(str(found)) == found
