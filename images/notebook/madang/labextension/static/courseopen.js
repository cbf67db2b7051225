// What of a course is open in Lab: in this window, and in others of the same browser.

// by the same name as ours, see remoteEntry.js
const {search} = new URL(import.meta.url);
const {folderOf} = await import(`./coursetelling.js${search}`);

const SOON = 300; // ms in which another window answers
const MOST = 1000; // names that are told of one course
const AGAIN = 30_000; // ms after which the service is told again; it forgets after 150 s

export class Open {
  constructor(app, files, folder) {
    this._files = files;
    this._folder = folder;
    this._asked = new Map(); // number of a question → paths that were answered
    this._me = Math.random();
    this._telling = Promise.resolve();
    this._said = '{}';
    const name = `madang:courses:${app.serviceManager.serverSettings.baseUrl}`;
    this._channel = window.BroadcastChannel ? new BroadcastChannel(name) : null;
    this._channel?.addEventListener('message', ({data}) => this._hear(data));
  }

  // [{path, name, context, widgets}]: `name` is the path in the course's folder.
  here(course) {
    const cut = folderOf(this._folder, course).length + 1;
    return this._files.open(folderOf(this._folder, course))
      .map(one => ({...one, name: one.path.slice(cut)}));
  }

  async elsewhere(course) {
    if (!this._channel) {
      return [];
    }
    const question = `${this._me} ${Math.random()}`;
    const answered = new Set();
    this._asked.set(question, answered);
    this._channel.postMessage({question, course});
    await new Promise(done => setTimeout(done, SOON));
    this._asked.delete(question);
    return [...answered];
  }

  // Names, in any window.
  async everywhere(course) {
    const there = await this.elsewhere(course);
    return [...new Set([...this.here(course).map(one => one.name), ...there])];
  }

  // From now on the service is told, by `ask`, so that no update from elsewhere writes behind it;
  // every window tells for itself.
  start(courses, ask) {
    this._courses = courses;
    this._ask = ask;
    setInterval(() => this.tell(), AGAIN);
    window.addEventListener('pagehide', () => this._leave());
  }

  // One at a time: an older answer must not come after a newer one.
  tell() {
    this._telling = this._telling.then(() => this._tell()).catch(error => {
      console.warn(error); // it is told again soon
    });
    return this._telling;
  }

  async _tell() {
    const found = this._courses().map(x => [x, this.here(x).map(one => one.name).slice(0, MOST)]);
    const files = Object.fromEntries(found.filter(([, names]) => names.length));
    const said = JSON.stringify(files);
    if (said !== '{}' || said !== this._said) {
      await this._ask('PUT', '/_open', {window: `${this._me}`, files});
      this._said = said;
    }
  }

  // The page goes; an answer is not waited for.
  _leave() {
    if (this._said !== '{}') {
      const nothing = {window: `${this._me}`, files: {}};
      this._ask('PUT', '/_open', nothing, {keepalive: true}).catch(() => {});
    }
  }

  _hear({question, course, answer}) {
    if (!answer) {
      this._channel.postMessage({
        question, answer: this.here(course).map(one => one.name),
      });
      return;
    }
    for (const name of answer) {
      this._asked.get(question)?.add(name);
    }
  }
}
