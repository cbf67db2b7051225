// What is said about courses: no DOM, no network, no clock.

// by the same name as ours, see remoteEntry.js
const {search} = new URL(import.meta.url);
const {fill} = await import(`./telling.js${search}`);

// What needs a look comes first.
const ORDER = [
  'beside', 'odd', 'waiting', 'merged', 'removed-kept', 'new', 'updated', 'removed', 'kept',
];
const WRITTEN = ['beside', 'odd', 'merged', 'removed-kept', 'new', 'updated', 'removed'];

const rank = fate => (ORDER.includes(fate) ? ORDER.indexOf(fate) : ORDER.length);

// Paths that an update has left for when they are closed.
export const waiting = handout =>
  handout && !handout.undone_at
    ? handout.files.filter(file => file.fate === 'waiting').map(file => file.path)
    : [];

// Courses with something newer than what lies in the folder, or waits for it. `waits`: course →
// {release, paths}.
export const fresh = (courses, waits) =>
  courses.filter(({name, behind, newest}) =>
    behind && newest && !(waits.get(name)?.release === newest && waits.get(name).paths.length));

// What the item in the status bar says; "" hides it.
export const line = (courses, waits, say) => {
  const [one, ...more] = fresh(courses, waits);
  if (one) {
    return more.length
      ? fill(say['course.items'], {count: more.length + 1})
      : fill(say['course.item'], {course: one.name, number: one.newest});
  }
  const late = courses.find(({name}) => waits.get(name)?.paths.length);
  return late ? fill(say['course.item.waits'], {course: late.name}) : '';
};

// [{fate, said, files: [...]}], what needs a look first.
export const groups = handout => {
  const found = new Map();
  for (const file of handout.files) {
    found.set(file.fate, [...(found.get(file.fate) ?? []), file]);
  }
  return [...found]
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([fate, files]) => ({fate, said: files[0].said || fate, files}));
};

// "side by side: 1, updated: 2": of what was done, or waits.
export const summary = (handout, say) =>
  groups(handout)
    .filter(({fate}) => fate !== 'kept')
    .map(({said, files}) => fill(say['course.count'], {count: files.length, said}))
    .join(', ');

// What is said of a file beside its path.
export const detail = (file, say) => {
  const cells = new Map();
  for (const cell of file.cells ?? []) {
    if (cell.fate !== 'kept') {
      cells.set(cell.said || cell.fate, (cells.get(cell.said || cell.fate) ?? 0) + 1);
    }
  }
  const counted = [...cells].map(([said, count]) => fill(say['course.cells'], {count, said}));
  const beside = file.beside ? fill(say['course.beside'], {name: file.beside}) : '';
  const all = counted.length ? fill(say['course.cells.all'], {list: counted.join('; ')}) : '';
  return [file.note, beside, all].filter(Boolean).join(' ');
};

// Notes of what would come, newest first.
export const news = course =>
  (course.releases ?? [])
    .filter(one => !one.withdrawn && one.number > (course.mine ?? 0))
    .sort((a, b) => b.number - a.number);

// Paths that an update wrote or took away, for an undo.
export const written = handout =>
  handout.files
    .filter(file => WRITTEN.includes(file.fate))
    .flatMap(file => [file.path, file.beside].filter(Boolean));

// A course's folder among Lab's paths.
export const folderOf = (folder, course) => `${folder}/${course}`;

// path → ids of the cells that the instructor has removed, and that are kept.
export const removed = handouts => {
  const found = new Map();
  for (const file of handouts.filter(one => !one.undone_at).flatMap(one => one.files)) {
    const ids = (file.cells ?? []).filter(cell => cell.fate === 'removed-kept');
    if (ids.length) {
      found.set(file.path, new Set([...(found.get(file.path) ?? []), ...ids.map(x => x.id)]));
    }
  }
  return found;
};

// The last of several, by number.
export const latest = handouts =>
  handouts.reduce((a, b) => (a && a.update > b.update ? a : b), null);

// `lab/a.ipynb` → `lab/a-mine.ipynb`, `lab/a-mine-2.ipynb`, …
export const aside = (path, time) => {
  const [, stem, end] = /^(.*?)(\.[^./]*)?$/s.exec(path);
  return `${stem}-mine${time > 1 ? `-${time}` : ''}${end ?? ''}`;
};
