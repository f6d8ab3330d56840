// What pages do beyond links and forms. Everything here is an addition: without script pages are reloaded by hand.

const root = document.documentElement;
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// ── Fragments: what changed is written into the page's own elements, so focus, selection, scrolling and what was
//    opened or chosen stay as they are.

const keptAttributes = { DETAILS: ["open"], INPUT: ["hidden"], BUTTON: ["hidden"], svg: ["data-at"] };

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
  const kept = keptAttributes[from.nodeName] ?? [];
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !kept.includes(name)) from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value && !kept.includes(name)) from.setAttribute(name, value);
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

function swap({ name, html }) {
  const target = $(`[data-fragment="${name}"]`);
  if (!target) return;
  // A template, since the parser drops rows that are outside of a table.
  const template = document.createElement("template");
  template.innerHTML = html;
  morphChildren(target, template.content);
  dress(target);
}

// ── The stream. A hidden tab has none; whoever comes back sees what is new at once.

let stream = null;
let clockOffset = 0;
let retryTimer = 0;

function tell(state, words, title) {
  const sign = $(".live");
  if (!sign) return;
  if (sign.dataset.state !== state) sign.dataset.state = state;
  $(".live-word", sign).textContent = words;
  sign.title = title;
}

function open() {
  clearTimeout(retryTimer);
  const address = document.body.dataset.live;
  if (!address || stream || document.hidden) return;
  stream = new EventSource(address);
  stream.addEventListener("open", () => tell("on", "Live", "Changes show by themselves"));
  stream.addEventListener("clock", (event) => { clockOffset = JSON.parse(event.data) - Date.now(); });
  stream.addEventListener("fragment", (event) => swap(JSON.parse(event.data)));
  stream.addEventListener("stale", (event) => {
    if (JSON.parse(event.data)) tell("stale", "Waiting", "The server cannot read the database at the moment");
    else tell("on", "Live", "Changes show by themselves");
  });
  stream.addEventListener("error", () => {
    tell("off", "Not live", "The connection is lost; it is tried again");
    // The browser tries again by itself unless the server refused.
    if (stream?.readyState === EventSource.CLOSED) {
      close();
      retryTimer = setTimeout(open, 15000);
    }
  });
}

function close() {
  stream?.close();
  stream = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
addEventListener("pagehide", close);
addEventListener("pageshow", open);

// ── Times: "12 s ago" grows older without the server.

function coarse(seconds) {
  const size = Math.abs(seconds);
  if (size < 1) return "now";
  for (const [unit, name] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (size >= unit) return `${Math.floor(size / unit)} ${name}`;
  }
  return `${Math.floor(size)} s`;
}

function elapsed(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

function tick(within = document) {
  const now = Date.now() + clockOffset;
  for (const time of $$("time[data-tick]", within)) {
    const ahead = (Date.parse(time.dateTime) - now) / 1000;
    let text = time.dataset.tick === "for" ? elapsed(-ahead) : coarse(ahead);
    if (time.dataset.tick === "ago" && text !== "now") text = ahead > 0 ? `in ${text}` : `${text} ago`;
    if (time.textContent !== text) time.textContent = text;
  }
}

setInterval(() => { if (!document.hidden) tick(); }, 1000);

// ── What only works with script is shown when there is one; the title and the icon tell of failures.

const pageTitle = document.title;

function dress(within) {
  tick(within);
  for (const element of $$("[data-copy], [data-pick-all], [data-open], [data-with-script]", within)) element.hidden = false;
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
  words.textContent = chosen ? `${chosen} chosen:` : "Choose rows to act on them.";
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

// ── Buttons that ask first, copy, open dialogs, change the theme.

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.confirm) {
    event.preventDefault();
    const dialog = $("#confirm");
    const yes = $("button[value=yes]", dialog);
    $("h2", dialog).textContent = button.dataset.confirm.replace("{chosen}", picks().filter((box) => box.checked).length);
    yes.textContent = button.textContent;
    dialog.returnValue = "";
    dialog.onclose = () => {
      if (dialog.returnValue !== "yes" || !button.isConnected) return button.focus();
      const confirmed = Object.assign(document.createElement("input"), { type: "hidden", name: "confirmed", value: "yes" });
      button.form.append(confirmed);
      button.form.requestSubmit(button);
      confirmed.remove();
    };
    dialog.showModal();
  } else if ("copy" in button.dataset) {
    navigator.clipboard?.writeText($("pre", button.parentElement).textContent).then(() => {
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  } else if (button.dataset.open) {
    $(`#${button.dataset.open}`).showModal();
  } else if ("themeButton" in button.dataset) {
    event.preventDefault();
    setTheme(button, button.value);
  }
});

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

function setTheme(button, theme) {
  root.dataset.theme = theme;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `bulkport_theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  button.value = { auto: "light", light: "dark", dark: "auto" }[theme];
  button.title = `Theme: ${theme}`;
  $(".quiet", button).textContent = `Change the theme, now ${theme}`;
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

dress(document);
// On narrow screens the place where one is may be beyond the edge of its row.
for (const current of $$(".nav > [aria-current], .side > [aria-current]")) {
  const bar = current.parentElement;
  bar.scrollLeft += Math.max(0, current.getBoundingClientRect().right - bar.getBoundingClientRect().right);
}
open();
goOn();
