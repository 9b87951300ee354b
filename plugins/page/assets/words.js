// Puts numbers, times and the state of the streams into words.

const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { maximumSignificantDigits: 3, notation: 'compact' });

export const count = (n) => whole.format(n);

export function rate(perSecond, unit = '') {
  const each = unit ? ` ${unit}` : '';
  if (perSecond > 0 && perSecond < 1 / 6) return `${short.format(perSecond * 3600)}${each}/h`;
  return `${short.format(perSecond)}${each}/s`;
}

export function bytes(n) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let k = 0;
  for (; n >= 1000 && k < units.length - 1; k++) n /= 1000;
  return `${k === 0 ? Math.round(n) : n.toPrecision(3)} ${units[k]}`;
}

export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} days`;
}

export const ago = (then, now) => `${duration(now - then)} ago`;

// clock returns the time of day where the reader is, with the date unless it is today.
export function clock(seconds, now) {
  const then = new Date(seconds * 1000);
  const time = then.toLocaleTimeString('en-GB');
  const today = new Date(now * 1000).toDateString() === then.toDateString();
  return today ? time : `${then.toLocaleDateString('en-CA')} ${time}`;
}

export const name = (of) => (of.label ? `${of.type} "${of.label}"` : of.type);

export function some(messages) {
  if (!messages?.length) return '';
  return messages.length === 1 ? messages[0] : `${messages[0]} and ${count(messages.length - 1)} more`;
}

const plural = (n, unit) => (n === 1 ? unit.replace(/s$/, '') : unit);

function waits(s) {
  return `${s.unit === 'bytes' ? bytes(s.waiting) : `${count(s.waiting)} ${plural(s.waiting, s.unit)}`} ${s.waiting === 1 || s.unit === 'bytes' ? 'waits' : 'wait'}`;
}

// summarize returns the line at the top for a summary.
export function summarize(s, started, now) {
  const last = s.last_result === null ? 'no result yet' : `last result ${ago(s.last_result, now)}`;
  const waiting = s.waiting > 0 ? `; ${waits(s)}` : '';
  switch (s.state) {
    case 'starting':
      return `Started ${ago(started, now)}; nothing has come yet`;
    case 'idle':
      return `Idle: nothing waits; ${last}`;
    case 'stuck':
      return `Stuck: no result for ${duration(now - s.since)} while ${waits(s)}`;
    case 'failing': {
      const what = s.operation ? `${name(s)}, ${s.operation},` : name(s);
      const others = s.others ? ` (${s.others} more ${s.others === 1 ? 'component fails' : 'components fail'})` : '';
      return `Failing: ${what} since ${clock(s.since, now)} (${duration(now - s.since)}): ${s.error}${others}${waiting}`;
    }
    case 'partly_failing':
      return `Partly failing: ${s.operation ? `${name(s)}, ${s.operation},` : name(s)} last at ${clock(s.since, now)}: ${s.error}; ${last}${waiting}`;
    case 'refusing':
      return `Refusing: none of the messages so far could be processed. ${name(s)}: ${s.error}`;
    case 'ended':
      return s.error ? `Ended before its work was done: ${s.error}` : `Ended; ${last}`;
    default:
      return `Running; ${last}${waiting}`;
  }
}
