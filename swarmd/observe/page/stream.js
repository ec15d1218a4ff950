// Keeps the page up to date: server-sent events, or plain requests where those do not work.

const SILENT_MS = 7000;  // three missed updates: then the page says so
const RETRY_MS = 3000;   // between two attempts to reach a peer that does not answer

/** `onState` gets each update, merged into the last one. `onLink` gets null, since when nobody answers, or why the peer sends no state. */
export function connect({ onState, onEvents, onLink }) {
  let state = {}, source = null, heardAt = Date.now(), since = null;

  function heard(why = null) {
    heardAt = Date.now();
    since = null;
    onLink(why);
  }

  function open() {
    source?.close();
    source = new EventSource("stream");
    source.addEventListener("state", (message) => { heard(); state = { ...state, ...JSON.parse(message.data) }; onState(state); });
    source.addEventListener("events", (message) => onEvents(JSON.parse(message.data)));
    source.onerror = () => ask();
  }

  // All streams are taken, a proxy does not pass them on, or there is no state: ask for it instead, or why there is none.
  async function ask() {
    try {
      const answer = await fetch("state", { cache: "no-store" });
      if (answer.status === 401) { heard("needs its token: open the address that swarmd printed"); return; }
      const found = await answer.json();  // throws on the page with which a proxy answers for a dead peer
      if (answer.ok) { heard(); state = { ...state, ...found }; onState(state); } else if (typeof found.error === "string") heard(found.error);
    } catch { /* the watch below says since when nobody answers */ }
  }

  function watch() {
    if (Date.now() - heardAt > SILENT_MS) {
      since ??= heardAt;
      onLink(since);
      if (source.readyState !== EventSource.CONNECTING) open();
    }
    if (source.readyState === EventSource.CLOSED) open();
  }

  open();
  setInterval(watch, RETRY_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) watch(); });
}
