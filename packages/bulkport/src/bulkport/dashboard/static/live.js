// The one stream of a browser: tabs tell what they watch, and hear what changed. A shared worker, so that seven tabs
// do not use up the connections that a browser opens to one host over HTTP/1.1.

const tabs = new Map(); // by port, what the tab watches and the dashboard's address
let stream = null;
let watched = "";
let retryTimer = 0;
let clock = null; // the server's time, and when it was heard

function tell(kind, data, address) {
  for (const [port, tab] of tabs) if (address === undefined || tab.address === address) port.postMessage({ kind, data });
}

function reopen() {
  const addresses = [...new Set([...tabs.values()].map((tab) => tab.address))].sort();
  // The language of the tab that came last: the others change theirs when they are loaded again.
  const { root, language } = [...tabs.values()].at(-1) ?? {};
  const wanted = addresses.length ? `${root}live/?language=${language}&${addresses.map((one) => `watch=${encodeURIComponent(one)}`).join("&")}` : "";
  if (wanted === watched && stream?.readyState !== 2) return;
  stream?.close();
  clearTimeout(retryTimer);
  watched = wanted;
  stream = null;
  if (!wanted) return;
  const opened = new EventSource(wanted);
  stream = opened;
  opened.addEventListener("open", () => tell("open"));
  for (const kind of ["clock", "fragment", "rows", "stale"]) {
    opened.addEventListener(kind, (event) => {
      const data = JSON.parse(event.data);
      if (kind === "clock") clock = { now: data.now, heardAt: Date.now() };
      tell(kind, data, data?.page);
    });
  }
  opened.addEventListener("error", () => {
    tell("error");
    if (opened.readyState === EventSource.CLOSED && stream === opened) retryTimer = setTimeout(reopen, 15000);
  });
}

onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    if (data.address !== undefined) tabs.set(port, data);
    else tabs.delete(port);
    reopen();
    // A stream that goes on as it was says nothing to a tab that has just come.
    if (data.address !== undefined && stream?.readyState === EventSource.OPEN && clock) {
      port.postMessage({ kind: "clock", data: { now: clock.now + Date.now() - clock.heardAt } });
    }
  };
};
