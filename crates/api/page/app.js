// The first page: a live table of nodes. Asks /api and /api/status, subscribes to /ws/subscriber.
"use strict";

const COLUMNS = [
  { title: "Name", value: (n) => text(n.Metadata.Name) },
  { title: "Type", value: (n) => text(n.Metadata.Type) },
  { title: "State", value: (n) => text(n.Metadata.State), state: true },
  { title: "Host", value: (n) => text(n.Host) },
  { title: "MAC", value: (n) => text(n.Metadata.MAC), kind: "mono" },
  { title: "IPs", value: (n) => list(n.Metadata.IPV4).concat(list(n.Metadata.IPV6)).join(" "), kind: "mono" },
  { title: "MTU", value: (n) => n.Metadata.MTU ?? "", kind: "number" },
];
const MOST_ROWS = 2000;        // rows a browser shows without effort; the filter reaches the others
const RECONNECT_MS = 1000;
const STATUS_MS = 5000;
const SILENT_MS = 15000;       // after that long without status the page is stale too

const nodes = new Map();
const edges = new Map();
const rows = new Map();        // id → table row, reused so that selections and the scroll position stay
const sort = { column: 0, down: false };
let synced = false;
let drawing = false;
let heardAt = Date.now();
let socket = null;

const at = (id) => document.getElementById(id);
const text = (value) => (value === undefined || value === null ? "" : String(value));
const list = (value) => (Array.isArray(value) ? value.map(String) : value ? [String(value)] : []);

// ---- the graph --------------------------------------------------------------------------------------------------

function apply(message) {
  const obj = message.Obj;
  switch (message.Type) {
    case "SyncReply":
      if (message.Status >= 400 || !obj) return notice(`The server refused the graph: ${text(obj) || message.Status}`);
      nodes.clear();
      edges.clear();
      for (const node of obj.Nodes ?? []) put(nodes, node);
      for (const edge of obj.Edges ?? []) put(edges, edge);
      synced = true;
      notice("");
      link("live", "live");
      break;
    case "NodeAdded": case "NodeUpdated": put(nodes, obj); break;
    case "NodeDeleted": nodes.delete(obj.ID); break;
    case "EdgeAdded": case "EdgeUpdated": put(edges, obj); break;
    case "EdgeDeleted": edges.delete(obj.ID); break;
    default: return;
  }
  draw();
}

function put(into, element) {
  const known = into.get(element.ID);
  if (known && known.Revision > element.Revision) return;
  element.Metadata ??= {};
  element.haystack = null;
  into.set(element.ID, element);
}

// ---- the table --------------------------------------------------------------------------------------------------

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; drawNow(); });
}

function drawNow() {
  at("count-nodes").textContent = synced ? nodes.size : "–";
  at("count-edges").textContent = synced ? edges.size : "–";
  const words = at("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = [...nodes.values()].filter((node) => matches(node, words));
  const matching = found.length;
  const value = COLUMNS[sort.column].value;
  const sign = sort.down ? -1 : 1;
  const keyed = found.map((node) => ({ node, key: value(node) }));
  keyed.sort((a, b) => sign * compare(a.key, b.key) || compare(a.node.ID, b.node.ID));
  found = keyed.slice(0, MOST_ROWS).map((k) => k.node);

  const body = at("rows");
  const wanted = new Set(found.map((node) => node.ID));
  for (const [id, row] of rows) {
    if (!wanted.has(id)) { row.remove(); rows.delete(id); }
  }
  let before = body.firstElementChild;
  for (const node of found) {
    const row = fill(node);
    if (row === before) before = before.nextElementSibling;
    else body.insertBefore(row, before);
  }
  const cut = matching > found.length ? `, first ${found.length} shown` : "";
  at("shown").textContent = synced ? `${matching} of ${nodes.size} nodes${cut}` : "";
  const empty = at("empty");
  empty.hidden = found.length > 0;
  empty.textContent = !synced ? "Waiting for the graph…" : nodes.size ? "No node matches the filter." : "There are no nodes yet.";
}

function matches(node, words) {
  if (words.length === 0) return true;
  node.haystack ??= [...COLUMNS.map((c) => c.value(node)), node.ID].join(" ").toLowerCase();
  return words.every((word) => node.haystack.includes(word));
}

function compare(a, b) {
  if (a === b) return 0;
  if (a === "") return 1;      // what is missing comes last
  if (b === "") return -1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function fill(node) {
  let row = rows.get(node.ID);
  if (!row) {
    row = document.createElement("tr");
    for (const column of COLUMNS) {
      const cell = document.createElement("td");
      if (column.kind) cell.className = column.kind;
      row.append(cell);
    }
    rows.set(node.ID, row);
  }
  if (row.shown === node) return row;
  row.shown = node;
  row.title = node.ID;
  COLUMNS.forEach((column, index) => {
    const value = String(column.value(node));
    const cell = row.cells[index];
    if (cell.textContent !== value) cell.textContent = value;
    if (column.state) cell.className = value === "UP" ? "state-up" : value === "DOWN" ? "state-down" : "";
  });
  return row;
}

function heads() {
  COLUMNS.forEach((column, index) => {
    const head = document.createElement("th");
    head.scope = "col";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = column.title;
    button.addEventListener("click", () => {
      sort.down = sort.column === index && !sort.down;
      sort.column = index;
      mark();
      draw();
    });
    head.append(button);
    at("heads").append(head);
  });
  mark();
}

function mark() {
  [...at("heads").children].forEach((head, index) => {
    const direction = index !== sort.column ? "none" : sort.down ? "descending" : "ascending";
    head.setAttribute("aria-sort", direction);
  });
}

// ---- the connection ---------------------------------------------------------------------------------------------

function subscribe() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/ws/subscriber?x-client-type=webui`);
  socket.onopen = () => {
    link("connecting", "loading");
    socket.send(JSON.stringify({ Namespace: "Graph", Type: "SyncRequest", Obj: {} }));
  };
  socket.onmessage = (event) => {
    let message;
    try { message = JSON.parse(event.data); } catch { return; }
    if (message.Namespace === "Graph") apply(message);
  };
  socket.onclose = (event) => {
    const why = event.code === 1013 ? `this page was too slow: ${event.reason}` : event.reason || "connection closed";
    link("stale", "not live");
    notice(`Not live (${why}). What is shown may be out of date; reconnecting…`);
    setTimeout(subscribe, RECONNECT_MS);
  };
}

function link(state, label) {
  const pill = at("link");
  if (pill.dataset.state !== state || pill.textContent !== label) {
    pill.dataset.state = state;
    pill.textContent = label;
  }
  document.body.classList.toggle("stale", state === "stale");
}

function notice(message) {
  const box = at("notice");
  if (box.textContent !== message) box.textContent = message;
  box.hidden = !message;
}

// ---- the status -------------------------------------------------------------------------------------------------

async function status() {
  try {
    const [who, state] = await Promise.all([ask("/api"), ask("/api/status")]);
    heardAt = Date.now();
    if (synced && socket?.readyState === WebSocket.OPEN && at("link").dataset.state === "stale") {
      link("live", "live");
      notice("");
    }
    at("who").textContent = `${who.Service} ${who.Host} · version ${who.Version}`;
    document.title = `Skydive – ${who.Host}`;
    const size = (map) => Object.keys(map ?? {}).length;
    at("fact-agents").hidden = !state.Agents;
    at("count-agents").textContent = size(state.Agents);
    at("count-subscribers").textContent = size(state.Subscribers ?? state.Clients);
    const lost = state.Losses?.Messages ?? 0;
    at("count-lost").textContent = lost;
    at("fact-lost").classList.toggle("raised", lost > 0);
  } catch (fault) {
    if (Date.now() - heardAt > SILENT_MS) {
      link("stale", "not live");
      notice(`No status for ${Math.round((Date.now() - heardAt) / 1000)} s (${fault.message}). What is shown may be out of date.`);
    }
  }
  setTimeout(status, STATUS_MS);
}

async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(STATUS_MS) });
  if (!answer.ok) throw new Error(`${path}: status ${answer.status}`);
  return answer.json();
}

heads();
draw();
at("filter").addEventListener("input", draw);
status();
subscribe();
