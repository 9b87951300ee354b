// Follows the event stream of the server, and connects again when it is lost.

const silence = 10_000; // the server sends a snapshot each second
const firstPause = 1_000;
const longestPause = 30_000;

// Refused is an answer that is no event stream.
class Refused extends Error {
  constructor(reason, after) {
    super(reason);
    this.after = after;
  }
}

// follow calls received with each snapshot, and lost with a reason and the pause
// in milliseconds after which it tries again. While the page is hidden it holds no
// connection: browsers allow a host only a few.
export function follow(url, received, lost) {
  let attempt = null; // AbortController of the one under way
  let timer = 0;
  let pause = firstPause;

  async function connect() {
    const own = new AbortController();
    attempt = own;
    let reason = 'the server has closed the connection';
    let after = 0;
    try {
      await read(url, own, (snapshot) => {
        pause = firstPause;
        received(snapshot);
      });
    } catch (error) {
      reason = error.message;
      after = error.after ?? 0;
    }
    if (attempt !== own) return; // hidden meanwhile
    const wait = Math.max(after, pause) * (1 + Math.random() / 4);
    pause = Math.min(2 * pause, longestPause);
    lost(reason, wait);
    timer = setTimeout(connect, wait);
  }

  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer);
    attempt?.abort();
    attempt = null;
    if (document.visibilityState === 'visible') connect();
  });
  if (document.visibilityState === 'visible') connect();
}

// read calls received with each snapshot until the stream ends.
async function read(url, own, received) {
  let watchdog = 0;
  const alive = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => own.abort(new Error('the server is silent')), silence);
  };
  alive();
  try {
    const response = await fetch(url, { signal: own.signal, cache: 'no-store' }).catch((error) => {
      throw error instanceof TypeError ? new Error('the server cannot be reached') : error;
    });
    if (!response.ok) {
      throw new Refused((await response.text()).trim(), 1000 * Number(response.headers.get('Retry-After') ?? 0));
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      text += value;
      const end = text.lastIndexOf('\n\n');
      if (end < 0) continue;
      // Of several that have come together, the last is enough.
      const start = text.lastIndexOf('\n\n', end - 1);
      const event = text.slice(start < 0 ? 0 : start + 2, end);
      text = text.slice(end + 2);
      received(JSON.parse(event.replace(/^data: /, '')));
    }
  } finally {
    clearTimeout(watchdog);
  }
}
