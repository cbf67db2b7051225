// What the service wrote while it was open here, at a start or from the course's page: it is shown,
// and where something is unsaved, neither of the two is lost.

// by the same name as ours, see remoteEntry.js
const {search} = new URL(import.meta.url);
const {fill} = await import(`./telling.js${search}`);
const {aside} = await import(`./coursetelling.js${search}`);

export class Torn {
  constructor(lab, files, say) {
    this._lab = lab;
    this._files = files;
    this._say = say;
    this._told = new Set(); // each state of a file on the disk is told once
  }

  async look(folder) {
    for (const one of await this._files.refresh(folder)) {
      const mark = `${one.path} ${one.disk}`;
      if (!this._told.has(mark)) {
        this._told.add(mark);
        const say = this._say();
        this._lab.apputils.Notification.warning(fill(say['course.torn'], {path: one.path}), {
          autoClose: false,
          actions: [{label: say['course.aside'], callback: () => this._setAside(one)}],
        });
      }
    }
  }

  async _setAside(one) {
    const {Notification} = this._lab.apputils;
    try {
      const path = await this._files.setAside(one, time => aside(one.path, time));
      if (path) {
        Notification.success(fill(this._say()['course.aside.done'], {path}), {autoClose: 15000});
      }
    } catch (error) {
      Notification.error(String(error.message), {autoClose: 15000});
    }
  }
}
