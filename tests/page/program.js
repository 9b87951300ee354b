// Runs the program, servers for it, and a browser. Each test ends what it started.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createListener } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const binary = resolve(import.meta.dirname, '../../bin/mfn-connect');
export const patience = 30_000;

export async function freePort() {
  const listener = createListener().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

// start runs a stream with the page until the test t ends.
export async function start(t, stream, port) {
  port ??= await freePort();
  const dir = await mkdtemp(join(tmpdir(), 'mfn-connect-page-'));
  const file = join(dir, 'stream.yaml');
  await writeFile(file, `http: { enabled: false }\npage: { enabled: true, address: '127.0.0.1:${port}' }\n${stream}`);
  const child = spawn(binary, ['-c', file], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  let log = '';
  for (const output of [child.stdout, child.stderr]) output.on('data', (text) => { log = (log + text).slice(-20_000); });
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  t.after(async () => {
    await kill();
    await rm(dir, { recursive: true });
  });
  const url = `http://127.0.0.1:${port}/`;
  for (const deadline = Date.now() + patience; ;) {
    if (await fetch(url).then((answer) => answer.ok, () => false)) break;
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`the page is not served\n${log}`);
    await pause(50);
  }
  return { url, port, kill, dir };
}

// webhook serves until the test ends; answer gets the message, and returns a status
// and a text.
export async function webhook(t, answer) {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const [status, text] = answer(JSON.parse(body));
    response.writeHead(status).end(text);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

let browser;

export async function launch() {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
}

export const close = () => browser.close();

// tab opens a tab of its own profile. faults are what its console says is wrong.
export async function tab(t, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().includes('Failed to load resource')) faults.push(message.text());
  });
  return { page, context, faults };
}
