// Documents that are open in Lab while their files change on the disk: they are saved and put away
// before, and opened again at the same place. `lab` holds Lab's libraries.

const AREAS = ['main', 'down', 'left', 'right'];
const SAVES = 3; // a widget of a kernel may write again while it is saved
const FRAMES = 60; // in which a cell that was scrolled to is drawn
const SETTLED = 3000; // ms after which a save that was under way has ended

const sleep = ms => new Promise(done => setTimeout(done, ms));
// a page in the background has none
const frame = () => Promise.race([new Promise(done => requestAnimationFrame(done)), sleep(100)]);

// Long enough that nobody meets another text with the same: two of 32 bits, and the length.
const sumOf = text => {
  let [a, b] = [0x811c9dc5, 0x9747b28c];
  for (let i = 0; i < text.length; i += 1) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01000193);
    b = Math.imul(b ^ text.charCodeAt(i), 0x85ebca6b) ^ (b >>> 15);
  }
  return `${text.length} ${a} ${b}`;
};

// Of a notebook what a person would miss; undefined of anything else.
const cellsIn = cells => sumOf(JSON.stringify(
  cells.map(({cell_type: kind, source, outputs}) => [kind, source, outputs]),
));
const cellsOf = ({model}) =>
  model.sharedModel?.cells && cellsIn(model.sharedModel.cells.map(cell => cell.toJSON()));

export class Files {
  constructor(lab, app, {documents, first}, say) {
    this._lab = lab;
    this._app = app;
    this._documents = documents;
    this._say = say;
    this._count = 0;
    this._first = first;
    this._saved = new WeakMap(); // context → a sum of what its cells were on the disk
  }

  // Lab calls a notebook unsaved as soon as a kernel has told its version. So what is in the cells
  // is remembered.
  async watch({context}) {
    await context.ready;
    let begun = cellsOf(context);
    if (!context.model.dirty) {
      this._saved.set(context, begun);
    } else if (this._first.has(context)) {
      this._saved.set(context, cellsIn(this._first.get(context)));
    }
    this._first.delete(context);
    context.saveState.connect((_, state) => {
      if (state === 'started') {
        begun = cellsOf(context);
      } else if (state === 'completed') {
        // not what was typed meanwhile
        this._saved.set(context, begun);
      }
    });
  }

  // Whether something of the person's would be lost with it.
  unsaved({context}) {
    return context.model.dirty && this._saved.get(context) !== cellsOf(context);
  }

  // [{path, context, widgets}] of what is open below a folder.
  open(folder) {
    const found = new Map();
    for (const widget of AREAS.flatMap(area => [...this._app.shell.widgets(area)])) {
      const context = this._documents.contextForWidget(widget);
      if (context && !context.isDisposed && context.path.startsWith(`${folder}/`)) {
        const widgets = found.get(context)?.widgets ?? [];
        found.set(context, {path: context.path, context, widgets: [...widgets, widget]});
      }
    }
    return [...found.values()];
  }

  // A cell runs, or waits to be run: its output would have nowhere to go.
  busy({context, widgets}) {
    const cells = widgets.flatMap(widget => widget.content?.widgets ?? []);
    return context.sessionContext?.session?.kernel?.status === 'busy'
      || cells.some(cell => cell.model?.executionState === 'running');
  }

  // ---- putting away -------------------------------------------------------

  // Save and close; what `bring` needs to open them again. Whatever cannot be saved stays open.
  async away(found) {
    const active = this._app.shell.currentWidget;
    const kept = [];
    for (const one of found) {
      const memory = await this._quietly(one, () => this._close(one, active)).catch(error => {
        console.warn(error);
        return [];
      });
      kept.push(...memory);
    }
    return kept;
  }

  async _close(one, active) {
    const {context, widgets} = one;
    for (let i = 0; context.model.dirty && i < SAVES; i += 1) {
      await context.save();
    }
    if (context.model.dirty || this.busy(one)) {
      return [];
    }
    const kernel = context.sessionContext?.session?.kernel;
    const memory = widgets.map(widget => ({
      path: context.path, factory: this._factory(context.path, widget), kernel: Boolean(kernel),
      where: this._where(widget), visible: widget.isVisible, active: widget === active,
      stand: this._standIn(widget),
    }));
    const {sessionContext} = context;
    if (sessionContext) {
      // also where somebody has set that kernels end with their notebooks
      sessionContext.kernelPreference = {
        ...sessionContext.kernelPreference, shutdownOnDispose: false,
      };
    }
    widgets.forEach(widget => widget.dispose());
    return memory;
  }

  // Nothing is typed into it meanwhile.
  async _quietly({widgets}, act) {
    const set = inert => widgets.forEach(widget => {
      widget.node.inert = inert;
    });
    set(true);
    try {
      return await act();
    } finally {
      set(false);
    }
  }

  _factory(path, widget) {
    const known = this._documents.registry.preferredWidgetFactories(path);
    const made = known.find(({name}) => this._documents.findWidget(path, name) === widget);
    return made?.name ?? (widget.content?.widgets ? 'Notebook' : 'default');
  }

  // Keeps the tab's place until the document is back in it.
  _standIn(widget) {
    if (![...this._app.shell.widgets('main')].includes(widget)) {
      return null;
    }
    const {Widget} = this._lab.widgets;
    const stand = new Widget({node: document.createElement('div')});
    this._count += 1;
    stand.id = `madang-course-${this._count}`;
    stand.addClass('madang-Course-standIn');
    stand.node.textContent = this._say()['course.updating'];
    stand.title.label = widget.title.label;
    stand.title.icon = widget.title.icon;
    const options = {ref: widget.id, mode: 'tab-after', activate: widget.isVisible};
    this._app.shell.add(stand, 'main', options);
    return stand;
  }

  // ---- bringing back ------------------------------------------------------

  async bring(memory) {
    const opened = [];
    for (const one of memory) {
      opened.push([one, await this._bring(one).catch(console.warn)]);
      one.stand?.dispose();
    }
    for (const [one, widget] of opened.filter(([memo, made]) => made && memo.visible)) {
      await this._goTo(widget, one.where).catch(console.warn);
    }
    // at last: a dialogue gives the focus back to where it was, and a focused cell is the active
    const [memo, front] = opened.find(([one]) => one.active) ?? [];
    if (front) {
      this._app.shell.activateById(front.id);
      await frame();
      await frame();
      await this._goTo(front, memo.where).catch(console.warn);
      await this._focus(front);
    }
  }

  // Cells come into the page when they are looked at, and only then can have the focus.
  async _focus(widget) {
    const node = widget.content?.activeCell?.node;
    for (let i = 0; node && !node.isConnected && i < FRAMES; i += 1) {
      await frame();
    }
    node?.focus({preventScroll: true});
  }

  async _bring(one) {
    if (!(await this._there(one.path))) {
      return null; // the update has taken it away
    }
    const place = one.stand ? {ref: one.stand.id, mode: 'tab-before'} : {};
    const none = {shouldStart: false, autoStartDefault: false};
    const widget = this._documents.openOrReveal(
      one.path, one.factory, undefined, {...place, activate: one.visible},
      one.kernel ? undefined : none,
    );
    await widget?.context.ready;
    return widget;
  }

  async _there(path) {
    const {contents} = this._app.serviceManager;
    return contents.get(path, {content: false}).then(() => true, error => {
      if (error.response?.status === 404) {
        return false;
      }
      throw error;
    });
  }

  // ---- the place in a document --------------------------------------------

  _where(widget) {
    const {content} = widget;
    if (!content?.widgets) {
      return {cursor: content?.editor?.getCursorPosition?.()};
    }
    const top = content.outerNode.getBoundingClientRect().top;
    const first = content.widgets.find(
      cell => cell.isAttached && cell.node.getBoundingClientRect().bottom > top,
    );
    return {
      active: content.activeCell?.model.id,
      cursor: content.activeCell?.editor?.getCursorPosition(),
      source: content.activeCell?.model.sharedModel.getSource(),
      first: first?.model.id,
      above: first ? top - first.node.getBoundingClientRect().top : 0,
    };
  }

  async _goTo(widget, where) {
    const {content} = widget;
    if (!content?.widgets) {
      if (where.cursor) {
        content?.editor?.setCursorPosition?.(where.cursor);
      }
      return;
    }
    await widget.revealed;
    const at = id => content.widgets.findIndex(cell => cell.model.id === id);
    if (at(where.active) >= 0) {
      content.activeCellIndex = at(where.active);
      const {editor, model} = content.activeCell;
      if (where.cursor && model.sharedModel.getSource() === where.source) {
        editor?.setCursorPosition(where.cursor);
      }
    }
    const index = at(where.first);
    if (index >= 0) {
      await content.scrollToItem(index, 'start');
      await frame();
      await frame();
      const now = content.widgets[index].node.getBoundingClientRect().top;
      content.outerNode.scrollTop += now - content.outerNode.getBoundingClientRect().top
        + where.above;
    }
  }

  // ---- what has changed behind an open document ----------------------------

  // Show what is on the disk, in what is open and has nothing unsaved. [{path, context, disk}] of
  // those that have: there Lab would ask, and either answer would lose something.
  async refresh(folder) {
    const torn = [];
    this.late = false; // something could not be shown yet, because a cell runs in it
    for (const one of this.open(folder)) {
      const disk = await this._changed(one).catch(() => null);
      if (!disk) {
        continue;
      }
      if (this.unsaved(one)) {
        await sleep(SETTLED);
        if (await this._changed(one).catch(() => null)) {
          torn.push({...one, disk});
        }
      } else if (this.busy(one)) {
        this.late = true;
      } else {
        await this._quietly(one, () => this._reload(one));
      }
    }
    return torn.filter(one => !one.context.isDisposed && this.unsaved(one));
  }

  // The file's mark where it is not the one that was opened or saved here; else null.
  async _changed({context}) {
    await context.ready;
    const {contents} = this._app.serviceManager;
    const disk = await contents.get(context.path, {content: false, hash: true});
    const here = context.contentsModel;
    if (context.isDisposed || !here) {
      return null;
    }
    if (disk.hash && here.hash) {
      return disk.hash === here.hash ? null : disk.hash;
    }
    const later = Date.parse(disk.last_modified) > Date.parse(here.last_modified);
    return later ? disk.last_modified : null;
  }

  async _revert(context) {
    await context.revert();
    context.model.dirty = false;
    this._saved.set(context, cellsOf(context));
  }

  async _reload(one) {
    const {context, widgets} = one;
    if (context.isDisposed || this.unsaved(one)) {
      return;
    }
    const places = widgets.map(widget => this._where(widget));
    await this._revert(context);
    for (const [i, widget] of widgets.entries()) {
      if (widget.isVisible) {
        await this._goTo(widget, places[i]).catch(console.warn);
      }
    }
  }

  // What is unsaved goes into a file of its own, and the document shows what is on the disk.
  async setAside({context, widgets}, name) {
    const {contents} = this._app.serviceManager;
    const there = context.contentsModel;
    if (context.isDisposed) {
      return '';
    }
    let path = '';
    for (let i = 1; !path || (await this._there(path)); i += 1) {
      path = name(i);
    }
    await this._quietly({widgets}, async () => {
      const {model} = context;
      const content = there.type === 'notebook' ? model.toJSON() : model.toString();
      await contents.save(path, {type: there.type, format: there.format, content});
      await this._revert(context);
    });
    return path;
  }
}
