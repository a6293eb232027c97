// Keeps the page live: on an event from the server it fetches the same page and takes over what
// differs, so that focus, scroll and opened details stay. Without it the page is complete, only still.
"use strict";
(() => {
  const LOST_MS = 4000; // a stream that is back within this is not worth a word
  const SILENT_MS = 40000; // the server says something at least every 15 s
  const PACE_MS = 1000; // at most one fetch a second
  const ANYWAY_MS = 30000; // and one now and then without any event

  const badge = document.getElementById("live");
  let stream = null;
  let lostAt = null;
  let lostTimer = 0;
  let silentTimer = 0;
  let anywayTimer = 0;
  let fetching = false;
  let again = false;
  let fetchedAt = 0;
  let ahead = 0; // how far this clock is ahead of the server's, in ms

  const utc = (ms) => new Date(ms).toISOString().slice(11, 19) + " UTC";

  function words(seconds) {
    const two = (n) => String(n).padStart(2, "0");
    const s = Math.max(0, Math.floor(seconds));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  }

  function tick() {
    const now = (Date.now() - ahead) / 1000;
    for (const each of document.querySelectorAll("time[data-since]")) {
      const text = words(now - Number(each.dataset.since));
      if (each.textContent !== text) each.textContent = text;
    }
  }

  function say(text, lost) {
    if (badge.textContent !== text) badge.textContent = text;
    badge.classList.toggle("lost", lost);
    badge.classList.toggle("on", !lost);
  }

  function alive() {
    clearTimeout(lostTimer);
    clearTimeout(silentTimer);
    lostTimer = 0;
    lostAt = null;
    silentTimer = setTimeout(() => { lost(); open(); }, SILENT_MS);
    say("live", false);
  }

  function lost(since = Date.now()) {
    lostAt = lostAt ?? since;
    if (!lostTimer) {
      lostTimer = setTimeout(() => say(`not live since ${utc(lostAt - ahead)}`, true), LOST_MS);
    }
  }

  // --- taking over what differs -----------------------------------------------------------------
  const alike = (one, other) =>
    one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id || "") === (other.id || "");

  function takeAttributes(old, fresh) {
    for (const { name } of [...old.attributes]) {
      // What a person opened stays open.
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  }

  function take(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    takeAttributes(old, fresh);
    const staying = new Set([...fresh.children].map((each) => each.id).filter(Boolean));
    const known = new Map();
    for (const each of [...old.children]) {
      if (!each.id) continue;
      if (staying.has(each.id)) known.set(each.id, each);
      else each.remove();
    }
    let at = old.firstChild;
    for (const want of [...fresh.childNodes]) {
      const named = want.id ? known.get(want.id) : undefined;
      if (named && alike(named, want)) {
        while (at && at !== named && !at.id) {
          const next = at.nextSibling;
          at.remove();
          at = next;
        }
        if (at !== named) {
          old.insertBefore(named, at);
          at = named;
        }
      }
      if (at && alike(at, want)) {
        take(at, want);
        at = at.nextSibling;
      } else {
        old.insertBefore(document.importNode(want, true), at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  function takeOver(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const sheet = "link[rel=stylesheet]";
    if (fresh.querySelector(sheet)?.getAttribute("href") !== document.querySelector(sheet)?.getAttribute("href")) {
      location.reload(); // the server was upgraded
      return;
    }
    ahead = Date.now() - Number(fresh.body.dataset.now) * 1000;
    const focused = document.activeElement;
    // Durations are set to the present before comparing, so that an equal text is left alone.
    const now = (Date.now() - ahead) / 1000;
    for (const each of fresh.querySelectorAll("time[data-since]")) {
      each.textContent = words(now - Number(each.dataset.since));
    }
    take(document.getElementById("main"), fresh.getElementById("main"));
    if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    if (document.title !== fresh.title) document.title = fresh.title;
    const icon = document.getElementById("icon");
    const wanted = fresh.getElementById("icon").getAttribute("href");
    if (icon.getAttribute("href") !== wanted) icon.setAttribute("href", wanted);
  }

  async function refresh() {
    if (fetching) {
      again = true;
      return;
    }
    fetching = true;
    clearTimeout(anywayTimer);
    try {
      const wait = fetchedAt + PACE_MS - Date.now();
      if (wait > 0) await new Promise((done) => setTimeout(done, wait));
      fetchedAt = Date.now();
      again = false;
      const answer = await fetch(location.href, { cache: "no-store", headers: { accept: "text/html" } });
      if (!answer.ok) throw new Error(String(answer.status));
      takeOver(await answer.text());
      if (stream && stream.readyState === EventSource.OPEN) alive();
    } catch {
      lost();
    } finally {
      fetching = false;
      if (again) refresh();
      else anywayTimer = setTimeout(refresh, ANYWAY_MS);
    }
  }

  // --- the stream ---------------------------------------------------------------------------------
  let reopenTimer = 0;
  function close() {
    clearTimeout(reopenTimer);
    clearTimeout(silentTimer);
    stream?.close();
    stream = null;
  }

  function open() {
    close();
    stream = new EventSource("/live");
    stream.addEventListener("open", () => { alive(); refresh(); });
    stream.addEventListener("changed", () => { alive(); refresh(); });
    stream.addEventListener("beat", alive);
    stream.addEventListener("error", () => {
      lost();
      // A refused stream is given up by the browser; the server may be back in a moment.
      if (stream && stream.readyState === EventSource.CLOSED) reopenTimer = setTimeout(open, LOST_MS);
    });
  }

  document.addEventListener("visibilitychange", () => {
    // A hidden page needs no stream: browsers open only a few connections to one server.
    if (document.hidden) {
      close();
      clearTimeout(anywayTimer);
    } else {
      open();
    }
  });

  ahead = Date.now() - Number(document.body.dataset.now) * 1000;
  setInterval(tick, 1000);
  if (!document.hidden) open();
})();
