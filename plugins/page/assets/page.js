// Shows the snapshots of the server.
import { follow } from './connection.js';
import { $, attribute, draw, element, facts, list, set, sparkline } from './nodes.js';
import { ago, bytes, clock, count, duration, name, rate, some, summarize } from './words.js';

let latest = null; // the last snapshot
let receivedAt = 0; // by the clock of this page, in milliseconds
let lost = null; // why there is no connection, and when the next attempt is

const now = () => latest.time + (Date.now() - receivedAt) / 1000; // by the clock of the server

function received(snapshot) {
  latest = snapshot;
  receivedAt = Date.now();
  lost = null;
  showSources();
  showFailures();
  showMessages();
  showComponents();
  showLag();
  showSimulations();
  showFields();
  set($('#version'), `mfn-connect ${latest.version}, started ${clock(latest.started, latest.time)}`);
  showTimes();
}

// showTimes brings up to date what changes with time alone.
function showTimes() {
  showConnection();
  if (!latest) return;
  const s = latest.summary;
  const text = summarize(s, latest.started, lost ? latest.time : now());
  set($('#summary'), lost && s.state !== 'ended' ? `At ${clock(latest.time, Date.now() / 1000)}: ${text}` : text);
  const state = s.state === 'ended' && s.error ? 'unfinished' : s.state;
  attribute($('#summary'), 'data-state', lost && s.state !== 'ended' ? 'unknown' : state);
  document.title = `${lost ? 'no connection' : state.replace('_', ' ')} – mfn-connect`;
  announce(lost ? 'Connection lost' : `${state.replace('_', ' ')}${s.error ? `: ${s.error}` : ''}`);
}

// announce tells a screen reader of changes, not of each second.
function announce(text) {
  set($('#announcement'), text);
}

function showConnection() {
  const line = $('#connection');
  line.hidden = !lost;
  document.body.classList.toggle('stale', Boolean(lost && latest));
  if (!lost) return;
  const wait = duration(Math.max(0, lost.next - Date.now()) / 1000);
  if (latest?.summary.state === 'ended') {
    set(line, `The program has ended; this is how it was. Looking for its next run in ${wait}.`);
    return;
  }
  set(line, `Connection lost since ${clock(lost.since / 1000, Date.now() / 1000)}: ${lost.reason}. Trying again in ${wait}.`);
}

function disconnected(reason, wait) {
  lost = { reason, since: lost?.since ?? Date.now(), next: Date.now() + wait };
  showTimes();
}


function showSources() {
  const sources = latest.sources ?? [];
  $('#sources').hidden = sources.length === 0;
  list($('#sources ul'), sources.map((s, k) => ({ ...s, key: `${k} ${name(s)}` })), (s) => s.key,
    () => element('li', '', element('h3'), element('progress'), element('p', 'number'), element('dl')),
    (node, s) => {
      const amount = s.unit === 'bytes' ? bytes : (n) => `${count(n)}`;
      set($('h3', node), name(s));
      const bar = $('progress', node);
      attribute(bar, 'aria-label', `${name(s)}: delivered`);
      attribute(bar, 'max', Math.max(s.total, 1));
      attribute(bar, 'value', s.total === 0 ? 1 : s.done);
      set($('.number', node), s.total ? `${((100 * s.done) / s.total).toFixed(1)} %` : 'nothing to do');
      facts($('dl', node), [
        ['Delivered', `${amount(s.done)} of ${amount(s.total)}${s.unit === 'bytes' ? '' : ` ${s.unit}`}`],
        ['Rate', s.unit === 'bytes' ? `${bytes(s.rate_per_second)}/s` : rate(s.rate_per_second)],
        ['Done in', s.done >= s.total || s.remaining_seconds === null ? '' : `about ${duration(s.remaining_seconds)}`],
      ]);
    });
}

// together joins the failures of one component that have one error.
function together(failures) {
  const groups = new Map();
  for (const f of failures) {
    const key = JSON.stringify([f.stream, f.path, f.type, f.label, f.operation, f.error]);
    const group = groups.get(key);
    if (!group) {
      groups.set(key, { ...f, key, messages: [...f.messages] });
      continue;
    }
    group.messages.push(...f.messages);
    group.count += f.count;
    group.since = Math.min(group.since, f.since);
  }
  return [...groups.values()];
}

function showFailures() {
  const failures = together(latest.failures ?? []);
  $('#failures .none').hidden = failures.length > 0;
  list($('#failures ol'), failures, (f) => f.key,
    () => element('li', '',
      element('p', '', element('strong'), element('time')),
      element('p', 'error'),
      element('p', 'messages'),
      element('details', '', element('summary'), element('ul'))),
    (node, f) => {
      set($('strong', node), `${name(f)}: ${f.operation}`);
      set($('time', node), f.count === 1 ? `at ${clock(f.since, latest.time)}`
        : `${count(f.count)} times since ${clock(f.since, latest.time)}, last at ${clock(f.timestamp, latest.time)}`);
      set($('.error', node), f.error);
      const many = f.messages.length > 1;
      $('.messages', node).hidden = many || f.messages.length === 0;
      set($('.messages', node), `Message ${f.messages[0]}`);
      $('details', node).hidden = !many;
      set($('summary', node), `Messages ${some(f.messages)}`);
      list($('ul', node), many ? f.messages : [], (id) => id, () => element('li'), set);
    });
}

function showMessages() {
  list($('#messages'), latest.messages, (m) => m.name,
    () => element('li', '', element('h3', 'quiet'), element('p', 'number'), element('p', 'quiet rate'), sparkline()),
    (node, m) => {
      set($('h3', node), m.name);
      set($('.number', node), count(m.count.total));
      set($('.rate', node), rate(m.count.rate_per_second));
      draw($('svg', node), m.count.rates ?? []);
    });
}

function showComponents() {
  const at = (time) => (time === null ? 'never' : ago(time, latest.time));
  list($('#components'), latest.components ?? [], (c) => JSON.stringify([c.stream, c.path, c.label, c.type]),
    () => element('li', '', element('h3'), element('p', 'quiet place'), element('p', 'status'), sparkline(), element('dl'), element('p', 'error')),
    (node, c) => {
      set($('h3', node), name(c));
      set($('.place', node), [c.stream, c.path].filter(Boolean).join(' '));
      set($('.status', node), c.failing_since === null ? c.status : `${c.status} since ${clock(c.failing_since, latest.time)}`);
      attribute($('.status', node), 'data-status', c.status);
      draw($('svg', node), c.succeeded.rates ?? []);
      facts($('dl', node), [
        [c.role === 'connector' ? 'Fetches' : 'Publishes', `${count(c.succeeded.total)}, ${rate(c.succeeded.rate_per_second)}`],
        ['Bytes', `${bytes(c.bytes.total)}, ${bytes(c.bytes.rate_per_second)}/s`],
        ['Last success', at(c.last_success)],
        ['Retries', c.retries ? count(c.retries) : ''],
        ['Given up', c.failed ? count(c.failed) : ''],
        ['Lag', c.partitions ? `${count(c.lag_total)} records in ${count(c.partitions)} partitions` : ''],
        ['Last error', c.last_error_time === null ? '' : ago(c.last_error_time, latest.time)],
      ]);
      set($('.error', node), c.status === 'error' ? (c.last_error ?? '') : '');
    });
  $('#left-out').hidden = !latest.components_left_out;
  set($('#left-out'), `${count(latest.components_left_out)} more inputs and outputs are not shown; /stats lists all.`);
}

function showLag() {
  const rows = (latest.components ?? []).flatMap((c) => (c.lag ?? []).map((p) => ({ ...p, of: c })));
  $('#lag').hidden = rows.length === 0;
  list($('#lag tbody'), rows, (p) => JSON.stringify([p.of.stream, p.of.path, p.topic, p.partition]),
    () => element('tr', '', element('td'), element('td'), element('td')),
    (node, p) => [p.topic, String(p.partition), count(p.records)].forEach((text, k) => set(node.children[k], text)));
}

function showSimulations() {
  const long = (latest.simulations ?? []).filter((s) => s.elapsed_seconds >= 1);
  $('#simulations').hidden = long.length === 0;
  list($('#simulations ul'), long.map((s, k) => ({ ...s, key: `${k} ${s.simulation_id}` })), (s) => s.key,
    () => element('li', '', element('h3'), element('progress'), element('p', 'quiet')),
    (node, s) => {
      set($('h3', node), s.simulation_id);
      const bar = $('progress', node);
      attribute(bar, 'aria-label', `Simulation ${s.simulation_id}: steps`);
      attribute(bar, 'max', s.steps);
      attribute(bar, 'value', s.steps_done);
      set($('p', node), `${s.model}, ${s.grid_size} × ${s.grid_size}: ${count(s.steps_done)} of ${count(s.steps)} steps in ${duration(s.elapsed_seconds)}`);
    });
}

function showFields() {
  const fields = latest.fields ?? [];
  $('#fields .none').hidden = fields.length > 0;
  const run = Math.round(latest.started * 1000);
  list($('#fields ul'), fields, (f) => `${run}-${f.number}`,
    () => element('li', '', element('figure', '', element('img'), element('figcaption'))),
    (node, f) => {
      const picture = $('img', node);
      attribute(picture, 'src', `fields/${run}-${f.number}.png`);
      attribute(picture, 'alt', `${f.plane} of simulation ${f.simulation_id} after ${count(f.steps)} steps`);
      set($('figcaption', node), `${f.simulation_id}: ${f.plane} of ${f.model}, ${f.grid_size} × ${f.grid_size}, ${clock(f.timestamp, latest.time)}`);
    });
}

follow('events', received, disconnected);
setInterval(showTimes, 1000);
