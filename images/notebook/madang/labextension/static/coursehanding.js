// Handing in, told in Lab: what is collected soon, what was taken, and that feedback has come.

// by the same name as ours, see remoteEntry.js
const {search} = new URL(import.meta.url);
const {clock, fill} = await import(`./telling.js${search}`);

const HOUR = 3600; // seconds, as all times here
const SOON = 24 * HOUR;
const KEPT = 8; // marks of one collection: it may be taken again and again
const [DAYS, WEEKS] = [2 * SOON, 14 * SOON]; // after which it is no news any more

// What is to be said of a collection at a moment, newest first: [{kind, mark}]; `mark` tells it from
// what was said before. `submissions` are one's own.
export const handing = ({due, submissions: [own]}, now) => {
  const at = iso => (iso ? Date.parse(iso) / 1000 : -Infinity);
  if (own) {
    const {taken_at: taken, returned_at: returned} = own;
    const kind = !own.files ? 'nothing' : own.problem ? 'part' : 'taken';
    const both = [
      {kind: 'feedback', time: returned, news: WEEKS}, {kind, time: taken, news: DAYS},
    ];
    return both.filter(({time, news}) => now - at(time) < news)
      .map(one => ({kind: one.kind, mark: `${one.kind} ${one.time}`}));
  }
  const left = at(due) - now;
  const kind = left <= HOUR ? 'last' : 'soon';
  return left > 0 && left <= SOON ? [{kind, mark: `${kind} ${due}`}] : [];
};

export const sentence = (kind, {name, path, due, submissions: [own]}, {course, folder}, say, now,
  language) =>
  fill(say[`hand.${kind}`], {
    course, name, folder: `${folder}/${path}`, time: clock(due, now, language),
    count: own?.files, why: own?.problem || say['hand.empty'],
  });

const LOUD = {last: 'warning', nothing: 'warning', part: 'warning', taken: 'success'};

export class Handing {
  constructor(lab, app, say, ask) {
    this._lab = lab;
    this._app = app;
    this._say = say;
    this._ask = ask;
    this._told = {};
    this._key = `madang:handing:${app.serviceManager.serverSettings.baseUrl}`;
  }

  // In the courses where somebody is a student. What one course does not answer, it does later.
  async look(courses, folder) {
    for (const {name} of courses.filter(one => one.role === 'member')) {
      try {
        const found = await this._ask('GET', `/${name}/collections`);
        for (const one of found) {
          this._news(one, {course: name, folder: `${folder}/${name}`});
        }
      } catch (error) {
        console.warn(name, error);
      }
    }
  }

  _news(one, where) {
    const now = Date.now() / 1000;
    const told = this._read();
    const id = `${where.course}/${one.name}`;
    const fresh = handing(one, now).filter(({mark}) => !told[id]?.includes(mark));
    for (const {kind} of fresh) {
      this._tell(kind, one, where, now);
    }
    if (fresh.length) {
      const marks = [...(told[id] ?? []), ...fresh.map(({mark}) => mark)];
      this._write({...told, [id]: marks.slice(-KEPT)});
    }
  }

  _tell(kind, one, where, now) {
    const say = this._say();
    const path = kind === 'feedback' ? `${where.folder}/feedback/${one.name}` : '';
    const text = sentence(kind, one, where, say, now, document.documentElement.lang || 'en');
    const open = () => this._app.commands.execute('filebrowser:go-to-path', {path});
    this._lab.apputils.Notification.emit(text, LOUD[kind] ?? 'info', {
      autoClose: false,
      actions: path ? [{label: say['hand.open'], callback: open}] : [],
    });
  }

  _read() {
    try {
      return JSON.parse(localStorage.getItem(this._key)) ?? {};
    } catch {
      return this._told; // not allowed, or not ours
    }
  }

  _write(told) {
    this._told = told;
    try {
      localStorage.setItem(this._key, JSON.stringify(told));
    } catch (error) {
      console.warn(error); // it is told once more by the next page
    }
  }
}
