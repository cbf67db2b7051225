// Courses in Lab: the item in the status bar, what it asks and tells, and that nothing that is open
// is written behind its back. `lab` holds Lab's libraries.

// by the same name as ours, see remoteEntry.js
const {search} = new URL(import.meta.url);
const {fill} = await import(`./telling.js${search}`);
const {Dialogs} = await import(`./coursedialogs.js${search}`);
const {Files} = await import(`./coursefiles.js${search}`);
const {Open} = await import(`./courseopen.js${search}`);
const {Cells} = await import(`./coursecells.js${search}`);
const {Torn} = await import(`./coursetorn.js${search}`);
const {Told} = await import(`./coursetold.js${search}`);
const {Handing} = await import(`./coursehanding.js${search}`);
const {
  folderOf, fresh, latest, line, removed, summary, waiting, written,
} = await import(`./coursetelling.js${search}`);

const FOLDER = 'courses';
const POLL = 300; // seconds between two looks
const SOON = 60; // after one that was not answered
const GLANCE = 15; // at least, also where somebody comes back to the page again and again
const CALM = 300; // ms after which what is open has settled

export class Courses {
  constructor(lab, app, {documents, notebooks, first}, words, item) {
    this._lab = lab;
    this._app = app;
    this._say = () => (this._language.startsWith('ko') ? words.ko : words.en);
    this._told = new Told(app);
    this._courses = [];
    this._last = new Map(); // each course's last handout
    this._waits = new Map(); // course → {release, paths}: what comes when it is closed
    this._known = new Map(); // what the service said of a course when its handouts were asked for
    this._asked = 0;
    this._pause = POLL;
    this._looking = null;
    this._working = ''; // the course that is brought up to date just now
    this._tried = new Set(); // waits that were over, so that none is tried for ever
    this._calm = 0;
    this._files = new Files(lab, app, {documents, first}, this._say);
    notebooks?.widgetAdded.connect((_, panel) => this._files.watch(panel));
    notebooks?.forEach(panel => this._files.watch(panel));
    this._torn = new Torn(lab, this._files, this._say);
    this._open = new Open(app, this._files, FOLDER);
    this._dialogs = new Dialogs(lab, app, this._say);
    this._handing = new Handing(lab, app, this._say, (...x) => this._ask(...x));
    this.cells = notebooks && new Cells(lab, notebooks, this._say);
    this.item = item;
  }

  start() {
    this._live = document.createElement('div');
    this._live.className = 'madang-Live';
    this._live.setAttribute('aria-live', 'polite');
    document.body.append(this._live);
    this.cells?.start();
    this._look();
    setInterval(() => this._since() >= this._pause && this._look(), 10_000);
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden && this._since() >= GLANCE) {
        this._look();
      }
    });
    this._app.shell.layoutModified?.connect(() => {
      clearTimeout(this._calm);
      this._calm = setTimeout(() => {
        this._open.tell();
        this._closed();
      }, CALM);
    });
    this._open.start(() => this.names, (...x) => this._ask(...x));
  }

  get names() {
    return this._courses.map(course => course.name);
  }

  say(name) {
    return this._say()[name];
  }

  get _language() {
    return document.documentElement.lang || 'en';
  }

  _since() {
    return Date.now() / 1000 - this._asked;
  }

  // ---- asking -------------------------------------------------------------

  // The answer's JSON; throws an Error with a text for the person.
  async _ask(method, path, body, more = {}) {
    const {ServerConnection} = this._lab.services;
    const settings = this._app.serviceManager.serverSettings;
    const answer = await ServerConnection.makeRequest(
      `${settings.baseUrl}madang/courses${path}`,
      {
        method,
        headers: {'Accept-Language': this._language, Accept: 'application/json'},
        ...(body ? {body: JSON.stringify(body)} : {}), ...more,
      },
      settings,
    ).catch(() => ({ok: false, json: async () => ({})}));
    const found = await answer.json().catch(() => null);
    if (!answer.ok || found === null) {
      const known = found?.message && found.reason && found.reason !== 'away';
      throw new Error(known ? found.message : this._say()['course.away']);
    }
    return found;
  }

  _look() {
    this._looking ??= this._see().catch(error => {
      this._pause = SOON;
      console.warn(error);
    }).finally(() => {
      this._looking = null;
    });
    return this._looking;
  }

  async _see() {
    this._asked = Date.now() / 1000;
    this._pause = POLL;
    this._courses = await this._ask('GET', '');
    for (const course of this._courses) {
      await this._follow(course).catch(error => console.warn(error));
    }
    this._show();
    this._open.tell();
    await this._torn.look(FOLDER);
    await this._handing.look(this._courses, FOLDER);
    this._pause = this._files.late ? GLANCE : POLL;
    await this._closed();
  }

  // A course's handouts, where they may be others than before. What came at the start is told.
  async _follow(course) {
    const said = JSON.stringify(course);
    if (course.mine === null || this._known.get(course.name) === said) {
      return;
    }
    const handouts = await this._ask('GET', `/${course.name}/updates`);
    this._known.set(course.name, said);
    const last = latest(handouts);
    if (last && last.update !== this._last.get(course.name)?.update) {
      // where all was open, nothing is kept of it but here
      this._waits.set(course.name, {release: last.release, paths: waiting(last)});
    }
    this._learn(course.name, last);
    this.cells?.know(folderOf(FOLDER, course.name), removed(handouts));
  }

  _learn(name, handout) {
    if (!handout) {
      return;
    }
    this._last.set(name, handout);
    const some = summary(handout, this._say()) !== '';
    if (some && this._told.isNews(handout) && this._working !== name) {
      const text = fill(this._say()['course.came'], {
        course: name, number: handout.release, what: summary(handout, this._say()),
      });
      this._tell(text, handout);
    }
    this._told.remember(handout);
  }

  _tell(text, handout) {
    this._lab.apputils.Notification.info(text, {
      autoClose: false,
      actions: [{label: this._say()['course.what'], callback: () => this._report(handout)}],
    });
  }

  // ---- showing ------------------------------------------------------------

  _show() {
    const say = this._say();
    const text = this._working
      ? fill(say['course.working'], {course: this._working})
      : line(this._courses, this._waits, say);
    const {node} = this.item;
    if (node.textContent !== text) {
      node.textContent = text;
      node.title = text && `${text}\n${say['course.hint']}`;
      this._live.textContent = text;
    }
    node.disabled = Boolean(this._working);
    this.item.setHidden(!text);
  }

  // ---- what is open -------------------------------------------------------

  // An update left out what was open. Where that is closed now, it comes.
  async _closed() {
    if (this._working) {
      return;
    }
    for (const [name, {release, paths}] of this._waits) {
      const open = paths.length ? await this._open.everywhere(name) : [];
      const over = paths.filter(path => !open.includes(path));
      const mark = JSON.stringify([name, release, this._last.get(name)?.update, over]);
      if (over.length && !this._tried.has(mark)) {
        this._tried.add(mark);
        const found = await this._bring(name, []).catch(error => {
          this._tried.delete(mark);
          this._lab.apputils.Notification.error(error.message, {
            autoClose: false,
            actions: [{label: this._say()['course.again'], callback: () => this._closed()}],
          });
          return null;
        });
        if (found && !found.nothing) {
          this._tell(fill(this._say()['course.closedone'], {
            course: name, what: summary(found, this._say()),
          }), found);
        }
      }
    }
  }

  // ---- doing --------------------------------------------------------------

  // The button, the palette, the menu of a folder.
  async press(name = '') {
    if (this._working) {
      return;
    }
    await this._look();
    const course = await this._which(name);
    if (course) {
      await this._offer(course).catch(async error => {
        const title = fill(this._say()['course.failed'], {course: course.name});
        if (await this._dialogs.failed(title, error.message)) {
          await this.press(course.name);
        }
      });
    }
  }

  async _which(name) {
    const say = this._say();
    if (!this._courses.length) {
      const text = this._pause === SOON ? say['course.away'] : say['course.nocourses'];
      await this._dialogs.say(say['course.command'], text);
      return null;
    }
    const marked = fresh(this._courses, this._waits);
    const late = this._courses.filter(one => this._waits.get(one.name)?.paths.length);
    const asked = marked.length ? marked : late;
    const among = name ? this._courses.filter(one => one.name === name) : asked;
    if (among.length === 1 || this._courses.length === 1) {
      return among[0] ?? this._courses[0];
    }
    return this._dialogs.which(this._courses, marked.map(one => one.name));
  }

  async _offer({name}) {
    const course = await this._ask('GET', `/${name}`);
    const last = this._last.get(name);
    const here = this._open.here(name).map(one => ({
      path: one.name, dirty: this._files.unsaved(one), busy: this._files.busy(one),
    }));
    const others = (await this._open.elsewhere(name)).filter(
      path => !here.some(one => one.path === path),
    );
    const seen = others.map(path => ({path, elsewhere: true}));
    const {action, now} = await this._dialogs.ask(course, [...here, ...seen], {
      last, waits: this._waits.get(name)?.paths ?? [],
    });
    if (action === 'report') {
      await this._report(last);
    } else if (action === 'update') {
      const found = await this._bring(name, now);
      if (found.nothing) {
        await this._dialogs.say(course.title || name, this._say()['course.done.nothing']);
      } else {
        await this._report(found);
      }
    }
  }

  // Bring a course up to date; of what is open, only `now`, which is saved and closed before.
  async _bring(name, now) {
    return this._apart(name, path => now.includes(path), async () => {
      const open = await this._open.everywhere(name);
      const found = await this._ask('POST', `/${name}/update`, {open});
      const paths = found.nothing ? [] : waiting(found);
      this._waits.set(name, {release: found.release ?? null, paths});
      this._courses = this._courses.map(
        one => (one.name === name ? {...one, behind: false} : one),
      );
      if (!found.nothing) {
        this._learn(name, found);
      }
      return found;
    });
  }

  // Do something while what is open and `chosen` is put away.
  async _apart(name, chosen, act) {
    this._working = name;
    this._show();
    let memory = [];
    try {
      memory = await this._files.away(this._open.here(name).filter(one => chosen(one.name)));
      await this._open.tell();
      return await act();
    } finally {
      await this._files.bring(memory);
      this._working = '';
      this._known.delete(name);
      this._show();
      // not this one, which may be what began it
      Promise.resolve(this._looking).finally(() => this._look());
    }
  }

  async _report(handout) {
    if ((await this._dialogs.report(handout)) === 'undo') {
      await this._undo(handout).catch(async error => {
        const title = fill(this._say()['course.undo.failed'], {course: handout.course});
        if (await this._dialogs.failed(title, error.message)) {
          await this._report(handout);
        }
      });
    }
  }

  async _undo(handout) {
    const say = this._say();
    const {course, update} = handout;
    const title = fill(say['course.undo.ask'], {number: handout.release});
    if (!(await this._dialogs.confirm(title, say['course.undo.body'], say['course.undo']))) {
      return;
    }
    const changed = new Set(written(handout));
    const found = await this._apart(course, path => changed.has(path), async () => {
      const left = (await this._open.everywhere(course)).filter(x => changed.has(x));
      if (left.length) {
        throw new Error(fill(say['course.undo.open'], {names: left.join(', ')}));
      }
      return this._ask('POST', `/${course}/updates/${update}/undo`);
    });
    this._waits.delete(course);
    // what it tells is what the undo did; the look that follows brings the rest
    await this._dialogs.report({...found, undone_at: found.undone_at ?? found.at});
  }
}
