// The dialogues about courses. `lab` holds Lab's libraries.

// by the same name as ours, see remoteEntry.js
const {search} = new URL(import.meta.url);
const {clock, fill} = await import(`./telling.js${search}`);
const {detail, groups, news} = await import(`./coursetelling.js${search}`);

const make = (tag, text = '', kind = '') => {
  const node = document.createElement(tag);
  node.textContent = text;
  node.className = kind;
  return node;
};

export class Dialogs {
  constructor(lab, app, say) {
    this._lab = lab;
    this._app = app;
    this._say = say;
  }

  // The action of the button that was pressed; "" where it was closed.
  async _show(title, nodes, buttons, stay) {
    const {Dialog, showDialog} = this._lab.apputils;
    const {Widget} = this._lab.widgets;
    const body = make('div', '', 'madang-Course');
    body.append(...nodes);
    const result = await showDialog({
      title,
      body: new Widget({node: body}),
      buttons: [
        Dialog.cancelButton({label: stay}),
        ...buttons.map(([action, label, warn]) =>
          (warn ? Dialog.warnButton : Dialog.okButton)({label, actions: [action]})),
      ],
      // what can be taken back may be chosen by Enter
      defaultButton: buttons.length && !buttons.at(-1)[2] ? buttons.length : 0,
    });
    return result.button.actions[0] ?? '';
  }

  _page(course) {
    const {PageConfig} = this._lab.coreutils;
    const hub = PageConfig.getOption('hubPrefix') || '/hub/';
    const base = `${PageConfig.getOption('hubHost')}${hub.replace(/hub\/$/, '')}`;
    return `${base}services/madang/courses/${course}`;
  }

  _link(course) {
    return this._away(this._say()['course.page'], this._page(course));
  }

  _away(text, href) {
    const link = make('a', text, 'madang-Course-link');
    return Object.assign(link, {href, target: '_blank', rel: 'noopener'});
  }

  _time(iso) {
    return clock(iso, Date.now() / 1000, document.documentElement.lang || 'en');
  }

  // ---- before -------------------------------------------------------------

  // What is new, and which of the open files (`[{path, dirty, busy}]`) shall be done now.
  // {action: "update" | "report" | "", now: [path]}
  async ask(course, open, {last, waits}) {
    const say = this._say();
    const releases = course.behind ? news(course) : [];
    const some = course.behind || waits.length > 0;
    const {nodes, chosen} = this._choice(open, waits);
    const text = some ? [] : [fill(say['course.nothing'], {number: course.mine ?? ''})];
    const title = fill(some ? say['course.title'] : say['course.title.nothing'], {
      course: course.title || course.name,
    });
    const action = await this._show(
      title,
      [
        ...(course.mine || some ? text : [say['course.none']]).map(one => make('p', one)),
        ...releases.map(one => this._release(one)),
        ...(some ? this._coming(course) : []),
        ...(some ? nodes : []),
        ...(course.conflicts ? [make('p', fill(say['course.conflicts'], {
          count: course.conflicts,
        }))] : []),
        this._link(course.name),
      ],
      [
        ...(last && !some ? [['report', say['course.last'], false]] : []),
        ...(some ? [['update', say['course.go'], false]] : []),
      ],
      some ? say['course.later'] : say.close,
    );
    return {action, now: chosen()};
  }

  _release({number, at, by, notes, files, notebooks}) {
    const say = this._say();
    const node = make('section');
    const head = fill(say['course.release'], {number, by, time: this._time(at)});
    node.append(make('h4', head), make('p', notes || say['course.nonotes'], 'madang-Course-notes'));
    if (Number.isInteger(files)) {
      node.append(make('small', fill(say['course.files'], {files, notebooks})));
    }
    return node;
  }

  // The files that would come, by name; none from a service that does not say it.
  _coming({coming = [], coming_more: more = 0}) {
    const say = this._say();
    if (!coming.length) {
      return [];
    }
    const node = make('details');
    const list = make('ul');
    for (const {path, change} of coming) {
      const item = make('li');
      item.append(make('span', path), make('small', say[`course.coming.${change}`] ?? ''));
      list.append(item);
    }
    if (more) {
      list.append(make('li', fill(say['course.coming.more'], {count: more})));
    }
    const head = fill(say['course.coming'], {count: coming.length + more});
    node.append(make('summary', head), list);
    return [node];
  }

  _choice(open, waits) {
    const say = this._say();
    if (!open.length) {
      const text = waits.length ? [make('p', say['course.closed'])] : [];
      return {nodes: text, chosen: () => []};
    }
    const field = make('fieldset');
    const help = make('p', say['course.open.help']);
    help.id = 'madang-course-help';
    field.setAttribute('aria-describedby', help.id);
    field.append(make('legend', say['course.open']), help);
    const boxes = open.map(one => {
      const label = make('label');
      const box = make('input');
      const wrong = ['elsewhere', 'busy'].find(x => one[x]) ?? '';
      Object.assign(box, {type: 'checkbox', disabled: Boolean(wrong), value: one.path});
      const state = say[`course.${wrong || (one.dirty ? 'dirty' : '')}`] ?? '';
      label.append(box, make('span', one.path), ...(state ? [make('small', state)] : []));
      field.append(label);
      return box;
    });
    return {
      nodes: [field],
      chosen: () => boxes.filter(box => box.checked && !box.disabled).map(box => box.value),
    };
  }

  // ---- after --------------------------------------------------------------

  // What an update did; "undo" where that is pressed.
  report(handout, {undoable = true} = {}) {
    const say = this._say();
    const over = Boolean(handout.undone_at);
    const title = fill(over ? say['course.undone.title'] : say['course.report'], {
      course: handout.course, number: handout.release,
    });
    return this._show(
      title,
      [...groups(handout).map(group => this._group(group, handout)), this._link(handout.course)],
      over || !undoable ? [] : [['undo', say['course.undo'], true]],
      say.close,
    );
  }

  _group({fate, said, files}, handout) {
    const node = make(fate === 'kept' ? 'details' : 'section');
    node.dataset.fate = fate;
    const list = make('ul');
    for (const file of files) {
      const item = make('li');
      const more = detail(file, this._say());
      item.append(this._file(file, handout), ...(more ? [make('small', more)] : []));
      list.append(item);
    }
    const head = fill(this._say()['course.group'], {said, count: files.length});
    node.append(make(fate === 'kept' ? 'summary' : 'h4', head), list);
    return node;
  }

  // With what differs, where an update was kept that has written it.
  _file({path, fate}, {course, update, undone_at: undone}) {
    if (undone || !update || ['waiting', 'kept'].includes(fate)) {
      return make('span', path);
    }
    const query = new URLSearchParams({path});
    return this._away(path, `${this._page(course)}/updates/${update}?${query}`);
  }

  // ---- besides ------------------------------------------------------------

  async confirm(title, text, yes) {
    return (await this._show(title, [make('p', text)], [['yes', yes, true]],
      this._say()['course.cancel'])) === 'yes';
  }

  // Whether it shall be tried again.
  async failed(title, text) {
    const say = this._say();
    return (await this._show(title, [make('p', text)], [['again', say['course.again'], false]],
      say.close)) === 'again';
  }

  say(title, text) {
    return this._show(title, [make('p', text)], [], this._say().close);
  }

  // One of several courses; null where none was taken.
  async which(courses, marked) {
    const {InputDialog} = this._lab.apputils;
    const say = this._say();
    const label = ({name, newest}) => (marked.includes(name)
      ? fill(say['course.item'], {course: name, number: newest}) : name);
    const items = courses.map(label);
    const result = await InputDialog.getItem({
      title: say['course.which'], items, okLabel: say['course.show'], label: say['course.command'],
    });
    const at = items.indexOf(result.value);
    return result.button.accept && at >= 0 ? courses[at] : null;
  }
}
