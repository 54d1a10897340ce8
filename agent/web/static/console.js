// The console without a library: pages are whole without this file. It keeps an open page current, counts times
// down, and takes keys. Parts of a page that may change carry an id and `data-live`; a page is asked for anew when
// the agent says that something has changed, and those parts are put in.
"use strict";

(() => {
  const seconds = (text) => Math.round((Date.parse(text) - Date.now()) / 1000);
  const LEAST_BETWEEN_MS = 1000;

  function span(total) {
    if (total < 1) return "0s";
    if (total >= 172800) return `${Math.floor(total / 86400)} d`;
    const [hours, minutes, rest] = [Math.floor(total / 3600), Math.floor((total % 3600) / 60), total % 60];
    if (hours) return `${hours}h ${minutes}m`;
    return minutes ? `${minutes}m ${rest}s` : `${rest}s`;
  }

  function tick() {
    for (const each of document.querySelectorAll("[data-until]")) {
      const left = seconds(each.dateTime);
      each.textContent = left >= 0 ? `${span(left)} left` : `${span(-left)} over`;
      each.classList.toggle("over", left <= 0);
      each.classList.toggle("amber", left > 0 && "amber" in each.dataset && seconds(each.dataset.amber) <= 0);
    }
    for (const each of document.querySelectorAll("[data-ago]")) {
      const past = -seconds(each.dateTime);
      each.textContent = past < 1 ? "just now" : `${span(past)} ago`;
    }
  }

  // what somebody works at is left alone: a form that is filled in, a part that is opened
  function isBusy(part) {
    const active = document.activeElement;
    if (active && part.contains(active) && /^(INPUT|TEXTAREA|SELECT)$/.test(active.tagName)) return true;
    return [...part.querySelectorAll("textarea, input:not([type=hidden])")].some(
      (each) => each.value !== each.defaultValue || each.checked !== each.defaultChecked);
  }

  function keepOpen(before, after) {
    const shut = [...before.querySelectorAll("details")];
    [...after.querySelectorAll("details")].forEach((each, place) => {
      if (shut[place]) each.open = shut[place].open;
    });
  }

  function put(fresh) {
    for (const part of document.querySelectorAll("[data-live][id]")) {
      const next = fresh.getElementById(part.id);
      if (!next || part.outerHTML === next.outerHTML || isBusy(part)) continue;
      const focused = part.contains(document.activeElement) ? document.activeElement : null;
      const place = focused ? [...part.querySelectorAll("a, button, summary, pre")].indexOf(focused) : -1;
      if (stripped(part) !== stripped(next)) next.classList.add("changed");
      keepOpen(part, next);
      part.replaceWith(next);
      if (place >= 0) next.querySelectorAll("a, button, summary, pre")[place]?.focus({ preventScroll: true });
    }
    tick();
  }

  const stripped = (part) => {
    const copy = part.cloneNode(true);
    copy.querySelectorAll("time").forEach((each) => each.remove());
    return copy.textContent.replace(/\s+/g, " ").trim();
  };

  let asked = 0, pending = false;
  async function refresh() {
    if (pending) return;
    pending = true;
    await new Promise((done) => setTimeout(done, Math.max(0, asked + LEAST_BETWEEN_MS - Date.now())));
    pending = false;
    asked = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" }, redirect: "manual" });
      if (answer.ok) put(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* the network is away: the stream says so, and is opened again */ }
  }

  function listen() {
    const sign = document.getElementById("live");
    const stream = new EventSource(`/console/events?after=${document.body.dataset.seq}`);
    stream.addEventListener("change", refresh);
    for (const kind of ["change", "same", "open"]) stream.addEventListener(kind, () => say(sign, "live", false));
    stream.onerror = () => {
      if (stream.readyState === EventSource.CLOSED) say(sign, "not live: reload", true);
    };
  }

  function say(sign, words, isLost) {
    sign.hidden = false;
    sign.textContent = words;
    sign.classList.toggle("lost", isLost);
  }

  // g then a letter goes to a page, / searches, j and k walk the rows, c claims what is open
  let isGoing = false;
  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    const key = event.key;
    if (isGoing) {
      isGoing = false;
      document.querySelector(`nav a[data-key="${CSS.escape(key)}"]`)?.click();
    } else if (key === "g") {
      isGoing = true;
      setTimeout(() => { isGoing = false; }, 1200);
    } else if (key === "/") {
      const search = document.querySelector("[data-search]");
      if (search) { event.preventDefault(); search.focus(); }
    } else if (key === "j" || key === "k") {
      const rows = [...document.querySelectorAll("a.row-title")];
      const at = rows.indexOf(document.activeElement);
      rows[Math.max(0, Math.min(rows.length - 1, at + (key === "j" ? 1 : -1)))]?.focus();
    } else if (key === "c") {
      document.querySelector('button[data-key="c"]')?.click();
    }
  }

  document.querySelector("nav a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  for (const each of document.querySelectorAll("#ends .scroll")) each.scrollLeft = each.scrollWidth; // today is at the end
  tick();
  setInterval(tick, 1000);
  document.addEventListener("keydown", press);
  if (document.body.dataset.seq) listen();
})();
