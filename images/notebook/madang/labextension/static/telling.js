// What is said about a lease at a moment: no DOM, no network, no clock.

const OVER = ['draining', 'released', 'withdrawn', 'quarantined'];
const MINUTE = 60;

// `fill('yours until {time}', {time: '14:20'})`
export const fill = (text, values) =>
  text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));

const seconds = iso => (iso ? Date.parse(iso) / 1000 : null);

// Hours and minutes where the browser is; with the day where it is not today's.
export const clock = (iso, now, language) => {
  const at = new Date(iso);
  const today = at.toDateString() === new Date(now * 1000).toDateString();
  const day = today ? {} : {weekday: 'short', day: 'numeric', month: 'short'};
  const style = {...day, hour: '2-digit', minute: '2-digit', hourCycle: 'h23'};
  return new Intl.DateTimeFormat(language, style).format(at);
};

// 754 → "12:34"
export const countdown = left => {
  const whole = Math.max(0, Math.ceil(left));
  const two = n => String(n).padStart(2, '0');
  return `${two(Math.floor(whole / MINUTE))}:${two(whole % MINUTE)}`;
};

// kind: cpu, unknown, over, notice, promised, free; `left`: seconds of a running notice.
export const standing = (found, now) => {
  const state = found.state;
  if (found.gone) {
    return {kind: 'over', left: null};
  }
  if (!found.slice) {
    return {kind: 'cpu', left: null};
  }
  if (!state) {
    return {kind: 'unknown', left: null};
  }
  if (OVER.includes(state.stage)) {
    return {kind: 'over', left: null};
  }
  if (state.notice && state.leave_by) {
    return {kind: 'notice', left: Math.max(0, seconds(state.leave_by) - now)};
  }
  return {kind: seconds(state.promised) > now ? 'promised' : 'free', left: null};
};

// What the status bar says after the profile; "" where nothing is known.
const tail = (found, stand, now, say, language) => {
  switch (stand.kind) {
    case 'over':
      return say.over;
    case 'notice':
      return fill(say.left, {time: countdown(stand.left)});
    case 'promised':
      return fill(say.promised, {time: clock(found.state.promised, now, language)});
    case 'free':
      if (found.waiting === null) {
        return '';
      }
      return found.waiting ? fill(say.waiting, {count: found.waiting}) : say.nobody;
    default:
      return '';
  }
};

export const line = (found, stand, now, say, language) => {
  if (stand.kind === 'cpu') {
    return say.none;
  }
  return [found.slice, tail(found, stand, now, say, language)].filter(Boolean).join(' · ');
};

// As `line`, but it changes once a minute: for whoever has the page read out.
export const spoken = (found, stand, now, say, language) =>
  stand.kind === 'notice'
    ? `${found.slice} · ${fill(say.minutes, {count: Math.ceil(stand.left / MINUTE)})}`
    : line(found, stand, now, say, language);

// [label, text] pairs of the panel.
export const rows = (found, stand, now, say, language) => {
  const at = iso => clock(iso, now, language);
  const state = found.state || {};
  const made = found.text ? [[say['row.slice'], found.text]] : [];
  if (stand.kind === 'notice') {
    const why = say[`why.${state.notice}`] || '';
    made.push([say['row.notice'], `${at(state.leave_by)} (${countdown(stand.left)}). ${why}`]);
  } else if (stand.kind === 'promised') {
    made.push([say['row.promised'], at(state.promised)]);
  } else if (stand.kind === 'free') {
    made.push([say['row.promised'], say['row.nopromise']]);
  }
  if (stand.kind === 'over' && (state.reason || state.cause)) {
    made.push([say['row.cause'], state.reason || state.cause]);
  } else if (found.gone) {
    made.push(['', ended(found, stand, now, say)]);
  }
  if (state.until && ['promised', 'free'].includes(stand.kind)) {
    made.push([say['row.until'], at(state.until)]);
  }
  if (found.waiting !== null) {
    const text = found.waiting
      ? fill(say['row.waiting.some'], {count: found.waiting})
      : say['row.waiting.none'];
    made.push([say['row.waiting'], text]);
  }
  if (stand.kind !== 'over' && !extendable(found) && state.no_extend) {
    made.push([say['row.noextend'], state.no_extend]);
  }
  return made;
};

// Where nobody said that it cannot be, it is offered: the service knows best.
export const extendable = found => found.state?.can_extend !== false;

// Which mark a notice has passed: its beginning, five minutes, one minute. Told once each.
export const mark = left => (left <= MINUTE ? 1 : left <= 5 * MINUTE ? 5 : 0);

// With the time of day: a notification stands there as it was, and each change is read out.
export const noticed = (found, now, say, language) =>
  fill(say.notice, {
    slice: found.slice,
    time: clock(found.state.leave_by, now, language),
    why: say[`why.${found.state.notice}`] || '',
  });

// Whether an answer is none of the server's: the hub's, or the proxy's, where it was.
export const missing = ({status, body}) =>
  [424, 503].includes(status) && body.reason !== 'away';

// So many in a row are an end. A proxy may fail once; after a notice the end was to be expected.
export const isGone = (misses, stand) =>
  misses >= (['notice', 'over'].includes(stand?.kind) ? 1 : 2);

// Seconds between two looks. Soon, where the time is over: a draining server still says why.
export const pause = (stand, misses) => {
  if (stand?.left === 0) {
    return 2;
  }
  if (misses === 1) {
    return 5;
  }
  return stand?.kind === 'notice' ? 10 : 30;
};

// What is said of an end: why, where that is known. Nothing is said of one's own giving back.
export const ended = (found, stand, now, say) => {
  const {reason, notice, leave_by: by} = found.state || {};
  if (stand.kind === 'over' && reason) {
    return reason;
  }
  // a notice that ran out was the reason
  const why = by && seconds(by) <= now ? say[`why.${notice}`] : '';
  return found.gone ? [say.gone, why].filter(Boolean).join(' ') : '';
};
