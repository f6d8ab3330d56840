// What pages do beyond links and forms. Everything here is an addition: without script pages are reloaded by hand.

const root = document.documentElement;
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// ── Fragments: what changed is written into the page's own elements, so focus, selection, scrolling and what was
//    opened or chosen stay as they are.

const preservedAttributes = { DETAILS: ["open"], INPUT: ["hidden"], BUTTON: ["hidden"], svg: ["data-at"] };

function isSame(a, b) {
  if (a.nodeType !== b.nodeType || a.nodeName !== b.nodeName || (a.id || "") !== (b.id || "")) return false;
  // A button that does something else is another one: it must not change between a question and its answer, nor under
  // a finger.
  return a.nodeName !== "BUTTON" || ["formaction", "value"].every((name) => a.getAttribute(name) === b.getAttribute(name));
}

// The next node like `wanted`, which has no id: of elements the kind is told by their first class. Text is where it is,
// and elements that are wanted by their id are not passed.
function alike(place, wanted, wantedIds) {
  const isText = wanted.nodeType !== Node.ELEMENT_NODE;
  for (let next = place; next && !wantedIds.has(next.id); next = isText ? null : next.nextSibling) {
    if (isSame(next, wanted) && next.classList?.[0] === wanted.classList?.[0]) return next;
  }
  return null;
}

function morphAttributes(from, to) {
  const preserved = preservedAttributes[from.nodeName] ?? [];
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !preserved.includes(name)) from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value && !preserved.includes(name)) from.setAttribute(name, value);
  }
}

function morph(from, to) {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  if (from.hasAttribute("data-cursor") || from.hasAttribute("data-readout")) return;
  morphAttributes(from, to);
  morphChildren(from, to);
}

function morphChildren(from, to) {
  const named = new Map();
  for (const child of from.children) if (child.id) named.set(child.id, child);
  const wantedIds = new Set([...to.children].map((child) => child.id).filter(Boolean));
  let place = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    while (place?.id && !wantedIds.has(place.id)) {
      const gone = place;
      place = place.nextSibling;
      gone.remove();
    }
    const known = wanted.id ? named.get(wanted.id) : alike(place, wanted, wantedIds);
    // What stands before it and is not wanted by its id is dropped rather than what comes next moved, which would lose
    // its focus.
    while (known && place && place !== known && !wantedIds.has(place.id)) {
      const dropped = place;
      place = place.nextSibling;
      dropped.remove();
    }
    if (known && isSame(known, wanted)) {
      if (known === place) place = place.nextSibling;
      else from.insertBefore(known, place);
      morph(known, wanted);
    } else {
      from.insertBefore(document.importNode(wanted, true), place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

// Rows that come or go move what is being read, so they wait until they are asked for; rows that stay are kept up to
// date. While updates are paused, everything waits. `pending`: by fragment, its newest content and how much is new.

const pending = new Map();
let isPaused = false;

const rowIds = (within) => $$("tr[data-row][id]", within).map((row) => row.id);

function isBusy(target) {
  const selection = getSelection();
  return target.matches(":hover")
    || (target.contains(document.activeElement) && document.activeElement.matches("a, input, select, textarea"))
    || $("[data-pick]:checked", target) !== null
    || (!selection.isCollapsed && target.contains(selection.anchorNode));
}

function parsed(html) {
  // A template, since the parser drops rows that are outside of a table.
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

function apply(target, content) {
  morphChildren(target, content);
  dress(target);
}

function hold(target, content) {
  const known = new Set(rowIds(target));
  const news = rowIds(content).filter((id) => !known.has(id)).length;
  pending.set(target.dataset.fragment, { content: content.cloneNode(true), news });
  if (!isPaused) {
    for (const row of $$("tr[data-row][id]", content)) {
      const old = document.getElementById(row.id);
      if (old && target.contains(old)) morph(old, row);
    }
    tick(target);
  }
  tellNews();
}

function swap({ name, html }) {
  const target = $(`[data-fragment="${name}"]`);
  if (!target) return;
  const content = parsed(html);
  const shown = rowIds(target);
  const wanted = rowIds(content);
  const isMoving = shown.length > 0 && shown.join(" ") !== wanted.join(" ");
  if (isPaused || (isMoving && ("hold" in target.dataset || isBusy(target)))) return hold(target, content);
  pending.delete(name);
  tellNews();
  apply(target, content);
}

// Only the rows that changed, with the order of all and what is around them.
function swapRows({ name, order, rows }) {
  const target = $(`[data-fragment="${name}"]`);
  if (!target) return;
  const content = pending.get(name)?.content ?? (() => {
    const copy = document.createDocumentFragment();
    copy.append(...[...target.childNodes].map((child) => child.cloneNode(true)));
    return copy;
  })();
  const body = $("tr[data-row][id]", content)?.parentElement;
  if (!body) return reload(name);
  const known = new Map($$("tr[data-row][id]", body).map((row) => [row.id, row]));
  for (const [id, html] of Object.entries(rows)) {
    const row = parsed(html).firstElementChild;
    known.get(id)?.replaceWith(row);
    known.set(id, row);
  }
  for (const [id, row] of known) if (!order.includes(id)) row.remove();
  for (const id of order) if (known.has(id)) body.append(known.get(id));
  const holder = document.createElement("template");
  holder.content.append(content);
  swap({ name, html: holder.innerHTML });
}

function reload() { location.reload(); }

function showNews() {
  for (const [name, { content }] of [...pending]) {
    const target = $(`[data-fragment="${name}"]`);
    pending.delete(name);
    if (target) apply(target, content);
  }
  tellNews();
}

function tellNews() {
  const button = $("[data-news]");
  if (!button) return;
  const news = [...pending.values()].reduce((sum, one) => sum + one.news, 0);
  button.hidden = !pending.size;
  button.textContent = news ? (news === 1 ? texts.newRow : texts.newRows.replace("{count}", news)) : texts.changes;
}

// What waited for the pointer or the focus to leave.
function release() {
  if (isPaused) return;
  for (const [name, { content }] of [...pending]) {
    const target = $(`[data-fragment="${name}"]`);
    if (!target || "hold" in target.dataset || isBusy(target)) continue;
    pending.delete(name);
    apply(target, content);
  }
  tellNews();
}
document.addEventListener("pointerout", () => setTimeout(release));
document.addEventListener("focusout", () => setTimeout(release));

// ── The stream. A hidden tab has none; whoever comes back sees what is new at once.

const texts = JSON.parse(document.body.dataset.texts || "{}");
let clockOffset = 0;
let lastNews = null;
let link = null;

function tell(state, words, title) {
  const sign = $("[data-live-button]");
  if (!sign) return;
  if (isPaused && state === "on") [state, words, title] = ["paused", texts.paused, texts.pausedTitle];
  if (sign.dataset.state !== state) sign.dataset.state = state;
  const word = $(".live-word", sign);
  if (word.textContent !== words) word.textContent = words;
  sign.title = title;
}

const clock = (time) => time.toLocaleTimeString(root.lang, { hour12: false });
const dataFrom = (text) => text.replace("{time}", clock(lastNews ?? new Date()));
const isLive = () => tell("on", texts.live, texts.liveTitle);

function setPaused(paused) {
  isPaused = paused;
  if (!paused) showNews();
  if (["on", "paused"].includes($("[data-live-button]")?.dataset.state)) isLive();
}

const heard = {
  open: isLive,
  clock: (data) => { clockOffset = data.now - Date.now(); lastNews = new Date(); isLive(); },
  fragment: (data) => { lastNews = new Date(); swap(data); },
  rows: (data) => { lastNews = new Date(); swapRows(data); },
  stale: (data) => {
    if (data.stale) tell("stale", texts.stale, dataFrom(texts.staleTitle));
    else isLive();
  },
  error: () => tell("off", texts.offline + " · " + dataFrom(texts.offlineTitle), dataFrom(texts.offlineTitle)),
};

// By the shared worker where there is one, else a stream of this tab's own.
function connected(address, dashboard) {
  if ("SharedWorker" in window) {
    try {
      const worker = new SharedWorker(document.body.dataset.worker);
      worker.port.onmessage = ({ data: { kind, data } }) => heard[kind]?.(data);
      worker.port.postMessage({ address, root: dashboard, language: root.lang });
      return { close: () => worker.port.postMessage({}) };
    } catch { /* A browser that forbids them. */ }
  }
  let stream;
  let retryTimer = 0;
  const begin = () => {
    stream = new EventSource(`${dashboard}live/?language=${root.lang}&watch=${encodeURIComponent(address)}`);
    stream.addEventListener("open", heard.open);
    for (const kind of ["clock", "fragment", "rows", "stale"]) {
      stream.addEventListener(kind, (event) => heard[kind](JSON.parse(event.data)));
    }
    stream.addEventListener("error", () => {
      heard.error();
      if (stream.readyState === EventSource.CLOSED) retryTimer = setTimeout(begin, 15000);
    });
  };
  begin();
  return { close: () => { clearTimeout(retryTimer); stream.close(); } };
}

function open() {
  if (!("live" in document.body.dataset) || !$("[data-live-button]") || link || document.hidden) return;
  link = connected(document.body.dataset.live, new URL(document.body.dataset.root, location.href).href);
}

function close() {
  link?.close();
  link = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
addEventListener("pagehide", close);
addEventListener("pageshow", open);

// ── Times: "12 s ago" grows older without the server.

function coarse(seconds) {
  const size = Math.abs(seconds);
  for (const [unit, name] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (size >= unit) return `${Math.floor(size / unit)} ${name}`;
  }
  return `${Math.floor(size)} s`;
}

function elapsed(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86400)}d ${Math.floor((whole % 86400) / 3600)}h`;
}

// Today's times without the date, and the zone where it is not the viewer's own.
function exactly(iso, now) {
  if (root.dataset.times === "utc") {
    const [day, clock] = iso.split("T");
    return day === new Date(now).toISOString().slice(0, 10) ? `${clock.slice(0, 8)} UTC` : `${day} ${clock.slice(0, 5)} UTC`;
  }
  const at = new Date(iso);
  const isToday = at.toDateString() === new Date(now).toDateString();
  return isToday ? at.toLocaleTimeString(document.documentElement.lang) : at.toLocaleString(document.documentElement.lang, { dateStyle: "short", timeStyle: "short" });
}

function tick(within = document) {
  const now = Date.now() + clockOffset;
  for (const time of $$("time[data-tick]", within)) {
    const ahead = (Date.parse(time.dateTime) - now) / 1000;
    let text = time.dataset.tick === "for" ? elapsed(-ahead) : coarse(ahead);
    if (time.dataset.tick === "ago" && root.dataset.times !== "relative") {
      text = exactly(time.dateTime, now);
    } else if (time.dataset.tick === "ago") {
      text = Math.abs(ahead) < 1 ? texts.now : (ahead > 0 ? texts.ahead : texts.ago).replace("{time}", text);
    }
    if (time.textContent !== text) time.textContent = text;
  }
}

setInterval(() => { if (!document.hidden) tick(); }, 1000);

// ── What only works with script is shown when there is one; the title and the icon tell of failures.

const pageTitle = document.title;

function dress(within) {
  tick(within);
  for (const element of $$("[data-copy], [data-pick-all], [data-open], [data-with-script], [data-live-button]", within)) element.hidden = false;
  for (const element of $$("[data-without-script], [data-goes-on]", within)) element.hidden = true;
  const signal = $("[data-signal]", within);
  if (signal) {
    const failed = Number(signal.dataset.signal);
    document.title = failed ? `(${failed}) ${pageTitle}` : pageTitle;
    const icon = $("link[rel=icon]");
    if (icon.getAttribute("href") !== signal.dataset.icon) icon.setAttribute("href", signal.dataset.icon);
  }
  for (const chart of $$("[data-chart][data-at]", within)) read(chart, Number(chart.dataset.at));
  tellPicked();
}

// ── Choosing rows.

const picks = () => $$("[data-pick]");

function tellPicked() {
  const words = $("[data-picked]");
  if (!words) return;
  const chosen = picks().filter((box) => box.checked).length;
  words.textContent = chosen ? texts.selected.replace("{count}", chosen) : texts.select;
  for (const button of $$(".bulk button:not([data-for-all])")) button.disabled = !chosen;
  const all = $("[data-pick-all]");
  if (all) {
    all.checked = chosen > 0 && chosen === picks().length;
    all.indeterminate = chosen > 0 && !all.checked;
  }
}

document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-pick-all]")) for (const box of picks()) box.checked = target.checked;
  if (target.matches("[data-pick], [data-pick-all]")) tellPicked();
  if (target.closest("[data-auto-submit]")) target.form.requestSubmit();
});

// Shift selects the rows from the last one that was clicked.

let lastPick = null;
document.addEventListener("click", (event) => {
  const box = event.target;
  if (!box.matches?.("[data-pick]")) return;
  const boxes = picks();
  if (event.shiftKey && lastPick?.isConnected) {
    const [from, to] = [boxes.indexOf(lastPick), boxes.indexOf(box)].sort((a, b) => a - b);
    for (const one of boxes.slice(from, to + 1)) one.checked = box.checked;
    tellPicked();
  }
  lastPick = box;
});

// ── Buttons that ask first, copy, open dialogs, change the theme.

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.confirm) {
    event.preventDefault();
    const dialog = $("#confirm");
    const yes = $("button[value=yes]", dialog);
    $("h2", dialog).textContent = button.dataset.confirm.replace("{chosen}", picks().filter((box) => box.checked).length);
    yes.textContent = button.dataset.yes;
    yes.classList.toggle("danger", button.dataset.tone === "danger");
    const note = $("[name=note]", dialog);
    note.value = "";
    $("[data-note-label]", dialog).hidden = !("note" in button.dataset);
    dialog.returnValue = "";
    dialog.onclose = () => {
      if (dialog.returnValue !== "yes" || !button.isConnected) return button.focus();
      const confirmed = Object.assign(document.createElement("input"), { type: "hidden", name: "confirmed", value: "yes" });
      const reason = Object.assign(document.createElement("input"), { type: "hidden", name: "note", value: note.value });
      button.form.append(confirmed);
      if (note.value) button.form.append(reason);
      button.form.requestSubmit(button);
      confirmed.remove();
      reason.remove();
    };
    dialog.showModal();
  } else if ("copy" in button.dataset) {
    const label = button.textContent;
    copy(button.dataset.copy || $("pre", button.parentElement).textContent, button).then(() => {
      button.textContent = texts.copied;
      setTimeout(() => { button.textContent = label; }, 1500);
    }, () => {});
  } else if ("news" in button.dataset) {
    showNews();
    setPaused(false);
  } else if ("liveButton" in button.dataset) {
    setPaused(!isPaused);
  } else if (button.dataset.open) {
    $(`#${button.dataset.open}`).showModal();
  } else if (button.dataset.look) {
    event.preventDefault();
    keepLook(button.dataset.look, button.value);
    for (const other of $$(`[data-look=${button.dataset.look}]`)) {
      if (other === button) other.setAttribute("aria-current", "true");
      else other.removeAttribute("aria-current");
    }
    tick();
  } else if ("themeButton" in button.dataset) {
    event.preventDefault();
    setTheme(button, button.value);
  }
});

// Browsers have a clipboard for pages over HTTPS only; others copy what is selected.
async function copy(text, button) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = Object.assign(document.createElement("textarea"), { value: text, readOnly: true, className: "quiet" });
  (button.closest("dialog") ?? document.body).append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  button.focus();
  if (!isCopied) throw new Error("copying is not allowed");
}

// Who presses twice means once. Coming back to the page allows it again.
document.addEventListener("submit", (event) => {
  // Not its `id`: that is the field of this name.
  if (!event.target.matches("#act")) return;
  if ("sent" in event.target.dataset) event.preventDefault();
  event.target.dataset.sent = "";
});
// A page that comes back as it was has the token of a form that may have been sent: what is done there now is more.
addEventListener("pageshow", ({ persisted }) => {
  const form = $("#act");
  if (!form) return;
  delete form.dataset.sent;
  if (!persisted) return;
  $("[name=again]", form)?.remove();
  form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "again", value: Date.now() }));
});

// ── An order for many jobs goes on a step a request, as long as its page is open.

const mostFailures = 20;

async function goOn(failures = 0) {
  const button = $("[data-goes-on]");
  if (!button) return;
  const fields = new URLSearchParams(new FormData(button.form));
  fields.set(button.name, button.value);
  try {
    const answer = await fetch(button.formAction, { method: "POST", body: fields });
    if (answer.status >= 400 && answer.status < 500) return location.reload();
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    morphChildren($("#main"), page.getElementById("main"));
    dress($("#main"));
    goOn();
  } catch {
    // The server is away for a moment, or the page is being left.
    if (failures < mostFailures) setTimeout(goOn, 3000, failures + 1);
    else button.hidden = false;
  }
}

function keepLook(name, value) {
  root.dataset[name] = value;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `bulkport_${name}=${value}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

function setTheme(button, theme) {
  keepLook("theme", theme);
  button.value = { auto: "light", light: "dark", dark: "auto" }[theme];
  button.title = texts.theme.replace("{theme}", texts[theme]);
  $(".quiet", button).textContent = texts.changeTheme.replace("{theme}", texts[theme]);
  $("use", button).setAttribute("href", `#i-${{ auto: "auto", light: "sun", dark: "moon" }[theme]}`);
}

// ── Keyboard.

function step(by) {
  const rows = $$("[data-row]").filter((row) => $("a", row));
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, at + by));
  $("a", rows[next]).focus();
  rows[next].scrollIntoView({ block: "nearest" });
}

const keys = {
  "/": () => { const field = $("[data-search]"); field?.focus(); field?.select(); },
  j: () => step(1),
  k: () => step(-1),
  x: () => {
    const box = $("[data-pick]", document.activeElement?.closest("[data-row]") ?? document.createElement("i"));
    if (box) { box.checked = !box.checked; tellPicked(); }
  },
  p: () => setPaused(!isPaused),
  n: showNews,
  "?": () => $("#help")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  if (target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (target.matches("[data-chart]") && ["ArrowLeft", "ArrowRight"].includes(event.key)) {
    event.preventDefault();
    const last = target.dataset.xs.split(" ").length - 1;
    const by = event.key === "ArrowLeft" ? -1 : 1;
    return read(target, Math.max(0, Math.min(last, (Number(target.dataset.at ?? last + (by > 0 ? 0 : 1)) + by))));
  }
  if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

// ── The search field: what fits to the word that is being typed.

let askedFor = 0;
$("[data-search]")?.addEventListener("input", ({ target }) => {
  clearTimeout(askedFor);
  askedFor = setTimeout(async () => {
    try {
      const answer = await fetch(`${target.form.getAttribute("action")}/suggestions?q=${encodeURIComponent(target.value)}`);
      if (!answer.ok) return;
      target.list.replaceChildren(...(await answer.json()).map((value) => Object.assign(document.createElement("option"), { value })));
    } catch { /* The server is away for a moment. */ }
  }, 150);
});

// A field of several values suggests for the last one.

document.addEventListener("input", ({ target }) => {
  if (!target.matches("[data-several][list]")) return;
  const before = target.value.slice(0, target.value.lastIndexOf(",") + 1);
  for (const option of target.list.options) {
    option.dataset.name ??= option.value;
    option.value = before + option.dataset.name;
  }
});

// ── Charts: what they show at the pointer is read from their table.

function read(chart, index) {
  const row = $$("tbody tr", chart.closest("figure"))[index];
  if (!row) return;
  chart.dataset.at = index;
  const cursor = $("[data-cursor]", chart);
  const x = chart.dataset.xs.split(" ")[index];
  for (const end of ["x1", "x2"]) cursor.setAttribute(end, x);
  cursor.setAttribute("visibility", "visible");
  const names = $$("thead th", chart.closest("figure")).slice(1).map((cell) => cell.textContent);
  const values = $$("td", row).map((cell, place) => `${names[place]} ${cell.textContent}`);
  $("[data-readout]", chart.parentElement).textContent = [$("th", row).textContent, ...values].join(" · ");
}

function stopReading(chart) {
  delete chart.dataset.at;
  $("[data-cursor]", chart).setAttribute("visibility", "hidden");
  $("[data-readout]", chart.parentElement).textContent = "";
}

document.addEventListener("pointermove", (event) => {
  const chart = event.target.closest?.("[data-chart]");
  if (!chart) return;
  const box = chart.getBoundingClientRect();
  const at = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
  const distances = chart.dataset.xs.split(" ").map((x) => Math.abs(Number(x) - at));
  read(chart, distances.indexOf(Math.min(...distances)));
});
document.addEventListener("pointerout", (event) => {
  const chart = event.target.closest?.("[data-chart]");
  if (chart && !chart.contains(event.relatedTarget)) stopReading(chart);
});
document.addEventListener("focusout", ({ target }) => { if (target.matches("[data-chart]")) stopReading(target); });

// A series is hidden by its key; the others of its stack move down.

document.addEventListener("click", (event) => {
  const key = event.target.closest("[data-series]");
  if (!key) return;
  key.setAttribute("aria-pressed", key.getAttribute("aria-pressed") === "false");
  const figure = key.closest("figure");
  const hidden = new Set($$('[data-series][aria-pressed="false"]', figure).map((one) => one.dataset.series));
  const floor = {};
  for (const bar of $$("[data-bar]", figure)) {
    const isHidden = hidden.has(bar.dataset.bar);
    bar.toggleAttribute("hidden", isHidden);
    bar.style.display = isHidden ? "none" : "";
    if (isHidden) continue;
    const bottom = floor[bar.dataset.at] ?? Number($("[data-cursor]", figure).getAttribute("y2"));
    const top = bottom - Number(bar.getAttribute("height"));
    bar.setAttribute("y", top);
    floor[bar.dataset.at] = top;
  }
});

// A range of bars that is dragged over leads to the jobs of all of them.
let dragged = null;
document.addEventListener("pointerdown", (event) => {
  dragged = event.button === 0 ? event.target.closest?.("[data-chart] a[data-since]") : null;
});
document.addEventListener("dragstart", (event) => { if (event.target.closest?.("[data-chart]")) event.preventDefault(); });
document.addEventListener("pointerover", (event) => {
  const over = event.target.closest?.("[data-chart] a[data-since]");
  if (!dragged || !over || over.parentElement !== dragged.parentElement) return;
  const bars = $$("a[data-since]", dragged.parentElement);
  const [from, to] = [bars.indexOf(dragged), bars.indexOf(over)].sort((a, b) => a - b);
  bars.forEach((bar, place) => bar.classList.toggle("in-range", place >= from && place <= to));
});
document.addEventListener("pointerup", (event) => {
  const over = event.target.closest?.("[data-chart] a[data-since]");
  const from = dragged;
  dragged = null;
  for (const bar of $$(".in-range")) bar.classList.remove("in-range");
  if (!from || !over || over === from || over.parentElement !== from.parentElement) return;
  const [first, last] = from.dataset.since < over.dataset.since ? [from, over] : [over, from];
  const address = new URL(first.href.baseVal ?? first.getAttribute("href"), location.href);
  address.searchParams.set("since", first.dataset.since);
  address.searchParams.set("until", last.dataset.until);
  location.assign(address);
});

dress(document);
// On narrow screens the place where one is may be beyond the edge of its row.
for (const current of $$(".nav > [aria-current], .side > [aria-current]")) {
  const bar = current.parentElement;
  bar.scrollLeft += Math.max(0, current.getBoundingClientRect().right - bar.getBoundingClientRect().right);
}
open();
goOn();
