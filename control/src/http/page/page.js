
"use strict";
(() => {
  const body = document.body, byId = id => document.getElementById(id);
  const uri = body.dataset.uri, query = body.dataset.query, whole = body.dataset.whole === "true";
  const PAST = 120, EVENTS = 100, SPARE = 5000;

  // Every row that is shown, by its key: a server has one in its service and one among all numbers.
  const rows = new Map();
  for (const element of document.querySelectorAll("[data-k]")) {
    const cells = new Map();
    for (const cell of element.querySelectorAll("[data-c]")) {
      if (cell.closest("[data-k]") === element) cells.set(cell.dataset.c, cell);
    }
    const key = element.dataset.k;
    if (!rows.has(key)) rows.set(key, []);
    rows.get(key).push({ element, cells });
  }
  const facts = new Map();
  for (const fact of document.querySelectorAll("[data-f]")) facts.set(fact.dataset.f, fact);

  // The clock is the machine's, not the browser's.
  let ahead = Number(body.dataset.now) - Date.now();
  let heard = 0;
  const now = () => Date.now() + ahead;

  const two = number => String(number).padStart(2, "0");
  const span = s => s < 60 ? `${s}s` : s < 3600 ? `${Math.floor(s / 60)}m${two(s % 60)}s`
    : s < 86400 ? `${Math.floor(s / 3600)}h${two(Math.floor(s / 60) % 60)}m`
    : `${Math.floor(s / 86400)}d${two(Math.floor(s / 3600) % 24)}h`;
  const say = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const SINCE = new Set(["lastchg", "lastsess"]);

  // What is on the screen.
  const seen = new Set();
  const eye = new IntersectionObserver(changes => {
    for (const change of changes) change.isIntersecting ? seen.add(change.target) : seen.delete(change.target);
  });
  for (const element of document.querySelectorAll("article, details, .servers tr[data-k]")) eye.observe(element);

  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const FRESH = [{ background: "color-mix(in srgb, var(--tone) 25%, transparent)" }, { background: "transparent" }];

  function show(row) {
    for (const { element, cells } of rows.get(row.k) || []) {
      if (element.dataset.mood !== row.m) {
        element.dataset.mood = row.m;
        if (heard && !still.matches && seen.has(element)) element.animate(FRESH, 2500);
      }
      for (const name in row.c) {
        const value = row.c[name];
        if (name === "last") element.dataset.last = value || "";
        const cell = cells.get(name);
        if (!cell) continue;
        if (SINCE.has(name) && typeof value === "number") {
          cell.dataset.since = value;
          say(cell, span(Math.max(0, Math.floor(now() / 1000) - value)));
        } else {
          delete cell.dataset.since;
          say(cell, String(value));
        }
      }
      const state = cells.get("status");
      if (!state) continue;
      const is = state.textContent.split(" ")[0];
      for (const button of element.querySelectorAll("button[name=do]")) {
        const action = button.value.split(" ")[0];
        const same = action === "drain" ? is === "DRAIN" : action === "maint" ? is === "MAINT" : is !== "DRAIN" && is !== "MAINT";
        // Not `disabled`: who has come here by keyboard stays here.
        if ((button.ariaDisabled === "true") !== same) button.ariaDisabled = same;
      }
    }
  }

  // Ages go on between messages.
  function age() {
    const second = Math.floor(now() / 1000);
    for (const element of seen) {
      if (element.tagName === "ARTICLE") continue;
      for (const cell of element.querySelectorAll("[data-since]")) {
        say(cell, span(Math.max(0, second - Number(cell.dataset.since))));
      }
    }
  }

  // The curves.
  const past = new Map();
  function curve(key) {
    const values = past.get(key), row = (rows.get(key) || []).find(row => row.element.tagName === "ARTICLE");
    if (!row || !values || !seen.has(row.element)) return;
    const most = Math.max(5, ...values), first = PAST - values.length;
    const points = values.map((value, at) => `${first + at},${(23 - 22 * value / most).toFixed(1)}`);
    row.element.querySelector("polyline").setAttribute("points", points.join(" "));
  }
  function beat() {
    for (const [key, values] of past) {
      const row = (rows.get(key) || []).find(row => row.element.tagName === "ARTICLE");
      if (!row) continue;
      values.push(Number(row.cells.get("rate").textContent) || 0);
      if (values.length > PAST) values.shift();
      curve(key);
    }
  }

  // What happened, the newest first.
  const list = byId("events");
  const clock = new Intl.DateTimeFormat("en", { month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const hour = ms => clock.format(new Date(ms)).replace(",", "");
  let last = 0;
  function happened(event) {
    if (event.seq <= last) return;
    last = event.seq;
    const item = document.createElement("li"), time = document.createElement("time");
    const mark = document.createElement("span"), text = document.createElement("span");
    item.dataset.level = event.level;
    time.dateTime = event.time;
    time.textContent = hour(event.ms);
    mark.className = "mark";
    text.textContent = event.text;
    item.append(time, " ", mark, text);
    list.prepend(item);
    while (list.childElementCount > EVENTS) list.lastElementChild.remove();
  }

  let leaving = 0;
  function take(message, all) {
    ahead = message.now - Date.now();
    if (all) {
      past.clear();
      for (const key in message.past) past.set(key, message.past[key]);
      if (message.events.length) list.replaceChildren();
      last = 0;
    }
    const unknown = message.rows.some(row => !rows.has(row.k) && row.k[0] !== "f");
    for (const row of message.rows) show(row);
    for (const name in message.facts) if (facts.has(name)) say(facts.get(name), message.facts[name]);
    for (const event of message.events) happened(event);
    const verdict = byId("verdict");
    if (verdict.dataset.mood !== message.verdict[1]) verdict.dataset.mood = message.verdict[1];
    say(verdict.lastElementChild, message.verdict[0]);
    const title = `${message.verdict[0]} Posthouse`;
    if (document.title !== title) document.title = title;
    heard = Date.now();
    live(true);
    if (all) for (const key of past.keys()) curve(key);
    // Servers were added or removed: the page is made anew.
    if (whole && !leaving && (unknown || message.size !== rows.size)) leaving = setTimeout(() => location.reload(), 1000);
  }

  const sign = byId("live");
  function live(on) {
    const text = on ? "live" : heard ? `not live: last heard ${span(Math.round((Date.now() - heard) / 1000))} ago` : "not live yet";
    sign.dataset.on = on;
    say(sign, text);
  }

  // Listening. Where there is no place among those who watch, it asks from time to time.
  let polling = 0;
  function listen() {
    const source = new EventSource(`${uri};live${query}`);
    source.addEventListener("all", event => take(JSON.parse(event.data), true));
    source.onmessage = event => take(JSON.parse(event.data), false);
    source.onerror = () => {
      live(false);
      if (source.readyState === EventSource.CLOSED && !polling) polling = setTimeout(poll, SPARE);
    };
  }
  async function poll() {
    polling = 0;
    try {
      const answer = await fetch(`${uri};data${query}`);
      if (!answer.ok) throw new Error(answer.status);
      take(await answer.json(), true);
      sign.dataset.on = false;
      say(sign, `every ${SPARE / 1000} s`);
      polling = setTimeout(poll, SPARE);
    } catch {
      live(false);
      setTimeout(listen, SPARE);
    }
  }
  setInterval(() => {
    if (document.hidden) return;
    age();
    beat();
    if (heard && !polling && Date.now() - heard > SPARE) live(false);
  }, 1000);
  addEventListener("visibilitychange", () => { if (!document.hidden) age(); });

  // Buttons ask first.
  const ask = byId("ask"), toast = byId("toast"), act = byId("act");
  const WORDS = {
    drain: ["Drain", "Its open sessions go on, no new ones come."],
    maint: ["Maintenance for", "No new sessions, and no checks, until it is made ready."],
    ready: ["Make ready", "It takes new sessions again as soon as its checks pass."],
  };
  let tell = 0;
  function notice(text) {
    say(toast, text);
    clearTimeout(tell);
    tell = setTimeout(() => say(toast, ""), 6000);
  }
  if (act) act.addEventListener("submit", event => {
    const button = event.submitter;
    if (!button) return;
    event.preventDefault();
    if (button.ariaDisabled === "true") return;
    const [action, backend, server] = button.value.split(" ");
    const [verb, meaning] = WORDS[action];
    const service = button.closest("article");
    const grave = action !== "ready" && service && service.dataset.last === server;
    say(byId("ask-title"), `${verb} ${backend}/${server}?`);
    say(byId("ask-text"), grave ? `It is the last server that serves ${backend}: nobody would. ${meaning}` : meaning);
    byId("ask-text").classList.toggle("grave", grave);
    say(byId("ask-yes"), verb.split(" ")[0] === "Make" ? "Make ready" : verb === "Drain" ? "Drain" : "Maintenance");
    ask.returnValue = "";
    ask.onclose = () => { if (ask.returnValue === "yes") send(button); else button.focus(); };
    ask.showModal();
  });
  const RESULTS = {
    DONE: "done.", NONE: "nothing was changed.", PART: "done for some.", DENY: "not allowed from here.",
    ERRP: "there is no such server any more.", EXCD: "the form was too long.",
  };
  async function send(button) {
    const [action, backend, server] = button.value.split(" ");
    const form = new URLSearchParams(new FormData(act));
    form.set("do", button.value);
    const what = `${WORDS[action][0]} ${backend}/${server}`;
    try {
      const answer = await fetch(uri, { method: "POST", body: form, headers: { Accept: "text/plain" } });
      const text = (await answer.text()).trim();
      notice(answer.ok ? `${what}: ${RESULTS[text] || text}` : text);
    } catch {
      notice(`${what}: the proxy was not reached.`);
    }
    button.focus();
  }

  for (const time of document.querySelectorAll("#events time")) time.textContent = hour(Date.parse(time.dateTime));
  for (const [key] of rows) show({ k: key, m: rows.get(key)[0].element.dataset.mood, c: {} });
  live(false);
  listen();
})();
