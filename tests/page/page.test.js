// Tests the page of the running program in a browser.
import assert from 'node:assert/strict';
import { get } from 'node:http';
import { after, before, test } from 'node:test';
import { close, freePort, launch, patience, start, tab, webhook } from './program.js';

before(launch);
after(close);

const generate = (mapping, interval = '50ms') => `
input: { generate: { interval: ${interval}, mapping: '${mapping}' } }
pipeline: { processors: [ mfn_simulate: {} ] }
`;
const numbered = 'root = {"id": "run-%v".format(counter()), "grid_size": 16, "steps": 1}';
const publish = (url) => `output: { label: results, mfn_webhook: { url: '${url}', mask_path: true, retry: { initial_delay: 1s, max_delay: 1s } } }\n`;

test('a failing webhook is shown within three seconds, with the message, the error and no secret', async (t) => {
  let failedAt = 0;
  let failing = false;
  const url = await webhook(t, () => {
    if (failing) failedAt ||= Date.now();
    return failing ? [503, 'out of paper'] : [200, ''];
  });
  const program = await start(t, generate(numbered, '200ms') + publish(`${url}/hooks/t0p-s3cret?key=0ther-s3cret`));
  const { page, faults } = await tab(t);
  await page.goto(program.url);
  await page.getByText(/^Running; last result/).waitFor();
  failing = true;
  while (!failedAt) await page.waitForTimeout(10);
  const left = () => ({ timeout: failedAt + 3_000 - Date.now() });
  await page.locator('#failures li').filter({ hasText: /run-\d+/ }).first().waitFor(left());
  await page.locator('#failures .error').getByText(/503/).waitFor(left());
  await page.locator('#summary').getByText(/^Partly failing: mfn_webhook "results", webhook POST \S+, last at \d\d:\d\d:\d\d: .*503.*/).waitFor(left());
  await page.locator('#summary').getByText(/^Failing: mfn_webhook "results", webhook POST \S+, since \d\d:\d\d:\d\d .*503.*/).waitFor();
  const shown = await page.content();
  for (const secret of ['t0p-s3cret', '0ther-s3cret']) assert(!shown.includes(secret), secret);
  assert.match(await page.title(), /^failing/);

  failing = false;
  await page.locator('#summary').getByText(/^Running/).waitFor();
  assert.deepEqual(faults, []);
});

test('a healthy stream', async (t) => {
  const url = await webhook(t, () => [200, '']);
  const program = await start(t, generate(numbered) + publish(url));
  const { page, faults } = await tab(t);
  await page.goto(program.url);
  await page.locator('#summary[data-state=running]').waitFor();
  await page.getByText('Nothing has failed.').waitFor();
  const delivered = page.locator('#messages li', { hasText: 'delivered' });
  const number = async () => Number((await delivered.locator('.number').textContent()).replaceAll(',', ''));
  const first = await number();
  await page.waitForFunction((before) => Number(document.querySelector('#messages li:last-child .number').textContent.replaceAll(',', '')) > before, first);
  await delivered.locator('.rate').getByText(/^[\d.]+\/s$/).waitFor();
  const card = page.locator('#components li', { hasText: 'mfn_webhook "results"' });
  await card.getByText(/^(connected|publishing)$/).waitFor();
  await card.getByText(/^\d+ s ago$/).waitFor();
  await page.waitForFunction(() => document.querySelector('#messages polyline').getAttribute('points').length > 10); // a first rate
  assert.deepEqual(faults, []);
});

test('a message that cannot be simulated', async (t) => {
  const program = await start(t, generate('root = {"id": "wrong-%v".format(counter()), "grid_size": 3}', '100ms')
    + 'output: { drop: {} }\n');
  const { page } = await tab(t);
  await page.goto(program.url);
  await page.locator('#summary').getByText(/^Refusing: none of the messages so far could be processed. mfn_simulate: grid_size: 3 is not allowed/).waitFor();
  await page.locator('#failures').getByText(/wrong-\d+ and \d+ more/).waitFor();
});

const sweep = (count, steps) => `
input:
  mfn_sweep:
    sampling: random
    count: ${count}
    parameters: { k: { min: 0.05, max: 0.06 } }
    fixed: { model: gray_scott, F: 0.03, grid_size: 96, steps: ${steps}, seed: 1 }
pipeline: { threads: 1, processors: [ mfn_simulate: {} ] }
output: { drop: {} }
`;

test('the progress of a sweep, its pictures and its end', async (t) => {
  const program = await start(t, sweep(60, 5000));
  const { page, faults } = await tab(t);
  await page.goto(program.url);
  const bar = page.locator('#sources progress');
  await bar.waitFor();
  assert.equal(await bar.getAttribute('max'), '60');
  await page.waitForFunction(() => document.querySelector('#sources progress').value > 0);
  await page.getByText(/^about \d+/).waitFor();
  await page.waitForFunction(() => {
    const pictures = [...document.querySelectorAll('#fields img')];
    return pictures.length > 1 && pictures.every((picture) => picture.naturalWidth === 96);
  });
  assert.match(await page.locator('#fields img').first().getAttribute('alt'), /^v of simulation \S+ after 5,000 steps$/);
  await page.locator('#summary').getByText(/^Ended; last result/).waitFor({ timeout: 2 * patience });
  await page.getByText('100.0 %').waitFor();
  await page.locator('#connection').getByText(/^The program has ended/).waitFor();
  assert.deepEqual(faults, []);
});

// contrasts returns the texts of the page whose contrast is too low (WCAG 2, AA).
function contrasts() {
  const parts = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = parts(color).slice(0, 3).map((x) => (x / 255 <= 0.03928 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (parts(color)[3] !== 0) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const low = [];
  for (const node of document.querySelectorAll('body *')) {
    const text = [...node.childNodes].filter((n) => n.nodeType === Node.TEXT_NODE).map((n) => n.data.trim()).join('');
    if (!text || !node.checkVisibility()) continue;
    const [a, b] = [luminance(getComputedStyle(node).color), luminance(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return low;
}

test('light, dark, and small, whatever the ids and errors are', async (t) => {
  const url = await webhook(t, () => [400, `<html>${'no-space'.repeat(200)}`]);
  const program = await start(t, generate('root = {"id": "run-%v-".format(counter()) + "x".repeat(300), "grid_size": 16, "steps": 1}', '300ms')
    .replace('"x".repeat(300)', `"${'x'.repeat(300)}"`) + publish(`${url}/${'long'.repeat(60)}`));
  const grounds = [];
  for (const colorScheme of ['light', 'dark']) {
    const { page, faults } = await tab(t, { colorScheme, viewport: { width: 360, height: 740 } });
    await page.goto(program.url);
    await page.locator('#failures .error').first().waitFor();
    await page.locator('#fields img').first().waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, 'it scrolls sideways');
    assert.deepEqual(await page.evaluate(contrasts), []);
    grounds.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
    assert.deepEqual(faults, []);
  }
  assert.notEqual(grounds[0], grounds[1]);
});

test('by keyboard, and for a screen reader', async (t) => {
  const url = await webhook(t, () => [503, 'out of paper']);
  const program = await start(t, generate(numbered) + publish(url));
  const { page } = await tab(t);
  await page.goto(program.url);
  await page.locator('#failures summary').first().waitFor();
  const focused = () => page.evaluate(() => {
    const node = document.activeElement;
    const box = node.getBoundingClientRect();
    return { id: node.id, tag: node.tagName, text: node.textContent.slice(0, 30), outline: getComputedStyle(node).outlineStyle, seen: box.right > 0 && box.width > 1 };
  });
  await page.keyboard.press('Tab');
  const skip = await focused();
  assert.equal(skip.text, 'Skip to what fails');
  assert.equal(skip.outline, 'solid');
  assert(skip.seen, 'the focus is not visible');
  await page.keyboard.press('Enter');
  assert.equal((await focused()).id, 'failures');
  await page.keyboard.press('Tab');
  const messages = await focused();
  assert.equal(messages.tag, 'SUMMARY');
  assert.equal(messages.outline, 'solid');
  await page.keyboard.press('Enter');
  await page.locator('#failures details[open] li').nth(1).waitFor();
  await page.waitForTimeout(2_500); // two snapshots later
  assert.equal((await focused()).tag, 'SUMMARY', 'the focus is lost');
  assert(await page.locator('#failures details').first().evaluate((node) => node.open), 'it is closed again');

  for (const [role, name] of [['banner'], ['main'], ['contentinfo'], ['region', 'What fails?'], ['region', 'What flows?'], ['region', 'Latest fields']]) {
    assert.equal(await page.getByRole(role, { name }).count(), 1, `${role} ${name}`);
  }
  const announced = page.locator('[aria-live=polite]');
  assert.match(await announced.textContent(), /^failing: .*503/);
  const changes = await announced.evaluate((node) => new Promise((done) => {
    let n = 0;
    new MutationObserver(() => { n++; }).observe(node, { childList: true, characterData: true, subtree: true });
    setTimeout(() => done(n), 3_000);
  }));
  assert(changes <= 1, 'a screen reader hears it each second');
});

test('the program goes, and comes back', async (t) => {
  const port = await freePort();
  const stream = generate(numbered) + 'output: { drop: {} }\n';
  const first = await start(t, stream, port);
  const { page, faults } = await tab(t);
  await page.goto(first.url);
  await page.locator('#summary[data-state=running]').waitFor();
  await first.kill();
  await page.locator('#connection').getByText(/^Connection lost since \d\d:\d\d:\d\d: .* Trying again in \d+ s\./).waitFor();
  assert.match(await page.locator('#summary').textContent(), /^At \d\d:\d\d:\d\d: Running/, 'the state is that of an earlier time');
  assert.match(await page.title(), /^no connection/);
  await start(t, stream, port);
  await page.locator('#summary[data-state=running]').waitFor({ timeout: 2 * patience });
  assert(await page.locator('#connection').isHidden());
  await page.waitForFunction(() => document.querySelector('#fields img')?.naturalWidth > 0); // those of the new run
  assert.deepEqual(faults, []);
});

test('more tabs than there may be', async (t) => {
  const program = await start(t, generate(numbered) + 'output: { drop: {} }\n');
  const tabs = await Promise.all(Array.from({ length: 64 }, () => new Promise((done, failed) => {
    const request = get(`${program.url}events`, { agent: false }, (answer) => {
      answer.resume();
      assert.equal(answer.statusCode, 200);
      done(request);
    });
    request.on('error', failed);
  })));
  tabs.forEach((request) => request.removeAllListeners('error').on('error', () => {})); // it is destroyed below
  const { page } = await tab(t);
  await page.goto(program.url);
  await page.locator('#connection').getByText(/64 tabs show this page, which is the most: close some\. Trying again in \d+ s/).waitFor();
  tabs.forEach((request) => request.destroy());
  await page.locator('#summary[data-state=running]').waitFor();
});

test('a hidden tab holds no connection', async (t) => {
  const program = await start(t, generate(numbered) + 'output: { drop: {} }\n');
  const { page } = await tab(t);
  const streams = [];
  page.on('request', (request) => { if (request.url().endsWith('/events')) streams.push(request); });
  await page.goto(program.url);
  await page.locator('#summary[data-state=running]').waitFor();
  const ended = page.waitForEvent('requestfailed', (request) => request === streams[0]);
  const turn = (state) => page.evaluate((to) => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => to });
    document.dispatchEvent(new Event('visibilitychange'));
  }, state);
  await turn('hidden');
  await ended;
  assert.equal(streams.length, 1);
  await turn('visible');
  await page.waitForFunction(() => document.querySelector('#summary').dataset.state === 'running');
  assert.equal(streams.length, 2);
});

// simulateTime gives the page a clock and an event stream that the test drives.
function simulateTime() {
  let time = Date.now();
  let timers = new Map();
  let next = 1;
  const add = (call, after, every) => {
    timers.set(next, { call, at: time + after, every });
    return next++;
  };
  Date.now = () => time;
  window.setTimeout = (call, after = 0) => add(call, after);
  window.setInterval = (call, after) => add(call, after, after);
  window.clearTimeout = (id) => timers.delete(id);
  const fetched = window.fetch;
  let stream;
  window.fetch = (url, options) => {
    if (url !== 'events') return fetched(url, options);
    return Promise.resolve(new Response(new ReadableStream({ start(controller) { stream = controller; } })));
  };
  const encoder = new TextEncoder();
  const macrotask = () => new Promise((done) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => { channel.port1.close(); done(); };
    channel.port2.postMessage(0);
  });
  let n = 0;
  // hour lets an hour pass, with a snapshot each second made of the one that is given.
  window.hour = async (base) => {
    for (let second = 0; second < 3600; second++, n++) {
      time += 1000;
      for (const [id, timer] of timers) {
        if (timer.at > time) continue;
        if (timer.every) timer.at += timer.every;
        else timers.delete(id);
        timer.call();
      }
      const s = structuredClone(base);
      s.time = time / 1000;
      s.summary = n % 600 < 300 ? { ...s.summary, state: 'running', last_result: s.time } : {
        ...s.summary, state: 'failing', since: s.time - 5, type: 'mfn_webhook', operation: 'POST', error: `503 at ${n}`,
      };
      s.messages.forEach((m, k) => { m.count = { total: n * (k + 1), rate_per_second: n % 50, rates: Array.from({ length: 120 }, (_, j) => (n + j * k) % 97) }; });
      s.failures = Array.from({ length: n % 21 }, (_, k) => ({
        type: 'mfn_webhook', label: 'results', path: 'root.output', operation: 'POST', messages: [`run-${n - k}`, `run-${n + k}`],
        count: k + 1, since: s.time - k, timestamp: s.time, error: `503 at ${n % 7} of ${k % 3}`,
      }));
      s.components[0].lag = Array.from({ length: n % 13 }, (_, k) => ({ topic: `topic-${n % 5}`, partition: k, records: n + k }));
      s.components = s.components.concat(Array.from({ length: n % 4 }, (_, k) => ({ ...s.components[0], path: `root.output.${n + k}` })));
      s.simulations = Array.from({ length: n % 5 }, (_, k) => ({ simulation_id: `run-${n + k}`, model: 'mfn', grid_size: 64, steps: 100, steps_done: n % 100, elapsed_seconds: 3 }));
      s.fields = Array.from({ length: 6 }, (_, k) => ({ number: Math.floor(n / 60) + 6 - k, simulation_id: `run-${n}`, model: 'mfn', plane: 'field', grid_size: 64, steps: 100, timestamp: s.time }));
      stream.enqueue(encoder.encode(`data: ${JSON.stringify(s)}\n\n`));
      const shown = new Intl.NumberFormat('en').format(n);
      while (document.querySelector('#messages .number')?.textContent !== shown) await macrotask();
    }
    return n;
  };
}

test('eight hours do not let the tab grow', { timeout: 30 * 60_000 }, async (t) => {
  const url = await webhook(t, () => [200, '']);
  const program = await start(t, generate(numbered) + publish(url));
  let base = {};
  while (!base.components) { // those of the stream are there soon
    const answer = await fetch(`${program.url}events`);
    const reader = answer.body.getReader();
    base = JSON.parse(new TextDecoder().decode((await reader.read()).value).split('\n\n')[0].replace(/^data: /, ''));
    await reader.cancel();
  }
  const { page, context, faults } = await tab(t, { viewport: { width: 360, height: 200 } }); // which is quickly painted
  const pixel = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=', 'base64');
  await page.route('**/fields/*.png', (route) => route.fulfill({ body: pixel, contentType: 'image/png' }));
  await page.addInitScript(simulateTime);
  await page.goto(program.url);
  const session = await context.newCDPSession(page);
  const measure = async () => {
    await session.send('HeapProfiler.collectGarbage');
    await session.send('HeapProfiler.collectGarbage');
    const { nodes, jsEventListeners } = await session.send('Memory.getDOMCounters');
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    return { nodes, jsEventListeners, usedSize };
  };
  page.setDefaultTimeout(0);
  await page.evaluate((s) => window.hour(s), base);
  const first = await measure();
  for (let hour = 2; hour <= 8; hour++) await page.evaluate((s) => window.hour(s), base);
  const last = await measure();
  t.diagnostic(`after one hour ${JSON.stringify(first)}, after eight ${JSON.stringify(last)}`);
  assert(last.nodes <= first.nodes * 1.1 + 50, 'the nodes grow');
  assert(last.jsEventListeners <= first.jsEventListeners + 5, 'the listeners grow');
  assert(last.usedSize <= first.usedSize * 1.1 + 200_000, 'the heap grows');
  assert.deepEqual(faults, []);
});
