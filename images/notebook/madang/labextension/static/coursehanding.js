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

// Lab shows 140 characters of it: what matters comes first, and the folder is a button.
export const sentence = (kind, {name, due, submissions: [own]}, course, say, now, language) =>
  fill(say[`hand.${kind}`], {
    course, name, time: clock(due, now, language),
    count: own?.files, why: own?.problem || say['hand.empty'],
  });

const LOUD = {last: 'warning', nothing: 'warning', part: 'warning', taken: 'success'};

export class Handing {
  constructor(lab, app, say, ask) {
    this._lab = lab;
    this._app = app;
    this._say = say;
    this._ask = ask;
    this._told = {}; // what could not be written
    this._shown = new Map(); // course/collection → {due, notice}: a deadline that stands on the page
    this._key = `madang:handing:${app.serviceManager.serverSettings.baseUrl}`;
  }

  // What one course does not answer, it does at the next look.
  async look(courses, folder) {
    for (const {name} of courses) {
      try {
        const found = await this._ask('GET', `/${name}/collections`);
        this._clear(name, found);
        for (const one of found.filter(({yours}) => yours)) {
          this._news(one, {course: name, folder: `${folder}/${name}`});
        }
      } catch (error) {
        console.warn(name, error);
      }
    }
  }

  // A deadline that is another now, or over, does not stand there any more.
  _clear(course, found) {
    const still = new Map(found.map(one => [`${course}/${one.name}`, one]));
    for (const [id, {due, notice}] of this._shown) {
      const one = still.get(id);
      if (id.startsWith(`${course}/`) && (one?.due !== due || one.submissions.length)) {
        this._lab.apputils.Notification.dismiss(notice);
        this._shown.delete(id);
      }
    }
  }

  _news(one, where) {
    const now = Date.now() / 1000;
    const told = this._read();
    const id = `${where.course}/${one.name}`;
    const fresh = handing(one, now).filter(({mark}) => !told[id]?.includes(mark));
    for (const {kind} of fresh) {
      const notice = this._tell(kind, one, where, now);
      if (kind === 'soon' || kind === 'last') {
        if (this._shown.has(id)) {
          this._lab.apputils.Notification.dismiss(this._shown.get(id).notice);
        }
        this._shown.set(id, {due: one.due, notice});
      }
    }
    if (fresh.length) {
      const marks = [...(told[id] ?? []), ...fresh.map(({mark}) => mark)];
      this._write({...told, [id]: marks.slice(-KEPT)});
    }
  }

  _tell(kind, one, where, now) {
    const say = this._say();
    const path = `${where.folder}/${kind === 'feedback' ? `feedback/${one.name}` : one.path}`;
    const text = sentence(kind, one, where.course, say, now, document.documentElement.lang || 'en');
    const open = () => this._open([path, where.folder]);
    return this._lab.apputils.Notification.emit(text, LOUD[kind] ?? 'info', {
      autoClose: false,
      actions: [{label: say['hand.open'], callback: open}],
    });
  }

  // The first of these folders that is there: nobody has to have begun before a deadline.
  async _open(paths) {
    const {contents} = this._app.serviceManager;
    for (const path of paths) {
      const found = await contents.get(path, {content: false}).catch(() => null);
      if (found?.type === 'directory') {
        await this._app.commands.execute('filebrowser:go-to-path', {path});
        return;
      }
    }
  }

  _read() {
    try {
      return {...JSON.parse(localStorage.getItem(this._key)), ...this._told};
    } catch {
      return this._told; // not allowed, or not ours
    }
  }

  _write(told) {
    try {
      localStorage.setItem(this._key, JSON.stringify(told));
      this._told = {};
    } catch (error) {
      this._told = told;
      console.warn(error); // it is told once more by the next page
    }
  }
}
