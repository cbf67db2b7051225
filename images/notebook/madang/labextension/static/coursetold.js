// Which handouts a browser was told of: by the number of the update, per course and server.

const OLD = 7 * 24 * 3600; // seconds after which a handout is no news, where nothing is remembered

export class Told {
  constructor(app) {
    this._key = `madang:courses:${app.serviceManager.serverSettings.baseUrl}`;
  }

  isNews({course, update, at, undone_at: undone}) {
    const told = this._read()[course];
    const age = (Date.now() - Date.parse(at)) / 1000;
    return !undone && (told === undefined ? age < OLD : update > told);
  }

  remember({course, update}) {
    try {
      localStorage.setItem(this._key, JSON.stringify({...this._read(), [course]: update}));
    } catch (error) {
      console.warn(error); // it is told once more
    }
  }

  _read() {
    try {
      return JSON.parse(localStorage.getItem(this._key)) ?? {};
    } catch {
      return {}; // not allowed, or not ours
    }
  }
}
