// In a notebook: the marks on the instructor's new version of a cell, with the choice, and on what
// the instructor has removed. Everything is done in the open document, where Lab can undo it.

// by the same name as ours, see remoteEntry.js
const {search} = new URL(import.meta.url);
const {fill} = await import(`./telling.js${search}`);

const CALM = 100; // ms in which changes of a notebook are taken together
const OURS = 'madang';
const MARK = 'new_version_of';
const MARKS = [MARK, 'release', 'deleted', 'held'];

const markOf = metadata => {
  const mark = metadata?.[OURS];
  return mark && typeof mark === 'object' && typeof mark[MARK] === 'string' ? mark : null;
};

// A new version whose cell was deleted after it came is not asked about: that was an answer.
const kindOf = (mark, ids) => {
  if (!mark) {
    return '';
  }
  return ids.has(mark[MARK]) ? 'beside' : (mark.deleted ? 'deleted' : '');
};

// As hub/core/coursecells.py `unmarked`: metadata of an ordinary cell.
export const unmarked = metadata => {
  const mark = markOf(metadata);
  if (!mark) {
    return metadata;
  }
  const {[OURS]: _, ...plain} = metadata;
  const rest = Object.fromEntries(Object.entries(mark).filter(([key]) => !MARKS.includes(key)));
  const held = mark.held && typeof mark.held === 'object' ? mark.held : {};
  return {...plain, ...(Object.keys(rest).length ? {[OURS]: rest} : {}), ...held};
};

// As hub/core/coursebeside.py `take` and `keep`, in a shared notebook: choose between a cell and
// the new version `id` of it. Whole cells go and come, so that one undo takes it back. The place
// where the choice stands then.
export const choose = (shared, id, take) => {
  const at = wanted => shared.cells.findIndex(cell => cell.id === wanted);
  const version = at(id);
  const beside = shared.cells[version].toJSON();
  const own = markOf(beside.metadata)[MARK];
  const mine = at(own);
  const place = mine >= 0 ? mine : version;
  const metadata = mine >= 0 ? shared.cells[mine].toJSON().metadata : unmarked(beside.metadata);
  shared.transact(() => {
    // `cells` is as it was until all is done
    if (take) {
      shared.insertCell(place, {...beside, id: own, metadata});
      shared.deleteCell(place + 1);
    }
    if (!take || mine >= 0) {
      shared.deleteCell(version);
    }
  });
  return place;
};

export class Cells {
  constructor(lab, notebooks, say) {
    this._lab = lab;
    this._notebooks = notebooks;
    this._say = say;
    this._removed = new Map(); // path → ids
    this._marks = new WeakMap(); // cell → {kind, widget}
  }

  start() {
    this._notebooks.widgetAdded.connect((_, panel) => this._watch(panel));
    this._notebooks.forEach(panel => this._watch(panel));
  }

  // Which cells of which files below a folder the instructor has removed.
  know(folder, removed) {
    for (const [path, ids] of removed) {
      this._removed.set(`${folder}/${path}`, ids);
    }
    this._notebooks.forEach(panel => this._draw(panel));
  }

  async _watch(panel) {
    let timer = 0;
    const draw = () => {
      clearTimeout(timer);
      timer = setTimeout(() => this._draw(panel), CALM);
    };
    await panel.context.ready;
    panel.content.modelContentChanged.connect(draw);
    draw();
  }

  _draw(panel) {
    if (panel.isDisposed || !panel.content.model) {
      return;
    }
    const gone = this._removed.get(panel.context.path);
    const ids = new Set(panel.content.widgets.map(cell => cell.model.id));
    for (const cell of panel.content.widgets) {
      const mark = markOf({[OURS]: cell.model.getMetadata(OURS)});
      const kind = kindOf(mark, ids) || (gone?.has(cell.model.id) ? 'removed' : '');
      this._mark(panel, cell, kind, mark);
    }
  }

  _mark(panel, cell, kind, mark) {
    const there = this._marks.get(cell);
    if ((there?.kind ?? '') === kind) {
      return;
    }
    there?.widget.dispose();
    this._marks.delete(cell);
    if (kind) {
      const widget = this._widget(panel, cell, kind, mark);
      cell.layout.insertWidget(0, widget);
      this._marks.set(cell, {kind, widget});
    }
  }

  _widget(panel, cell, kind, mark) {
    const say = this._say();
    const {Widget} = this._lab.widgets;
    const widget = new Widget({node: document.createElement('div')});
    const {node} = widget;
    widget.addClass('madang-Course-mark');
    node.dataset.kind = kind;
    node.setAttribute('role', 'group');
    // Lab's shortcuts would take Enter and the letters from the buttons
    node.setAttribute('data-lm-suppress-shortcuts', 'true');
    const text = document.createElement('span');
    text.textContent = fill(say[`course.cell.${kind}`], {
      number: Number.isInteger(mark?.release) ? mark.release : '',
    });
    node.setAttribute('aria-label', text.textContent);
    node.append(text);
    if (kind !== 'removed') {
      node.append(
        this._button(say[`course.take.${kind}`], () => this._choose(panel, cell, true)),
        this._button(say[`course.keep.${kind}`], () => this._choose(panel, cell, false)),
      );
    }
    return widget;
  }

  _button(label, act) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = label;
    button.className = 'jp-mod-styled madang-Course-choice';
    // the notebook takes a pressed mouse for the beginning of a selection
    button.addEventListener('mousedown', event => event.stopPropagation());
    button.addEventListener('click', act);
    return button;
  }

  // ---- choosing -----------------------------------------------------------

  _choose(panel, cell, take) {
    const {content: notebook} = panel;
    if (notebook.model.readOnly) {
      return;
    }
    const place = choose(notebook.model.sharedModel, cell.model.id, take);
    notebook.mode = 'command';
    notebook.activeCellIndex = Math.min(place, notebook.widgets.length - 1);
    notebook.deselectAll();
    notebook.activate();
    const say = this._say();
    this._lab.apputils.Notification.info(say[take ? 'course.took' : 'course.kept'], {
      autoClose: 8000,
    });
  }

  // The new version that the active cell is, or has beside it; null where there is none.
  _atHand() {
    const notebook = this._notebooks.currentWidget?.content;
    const active = notebook?.activeCell;
    return active
      ? notebook.widgets.find(cell => {
        const mark = markOf({[OURS]: cell.model.getMetadata(OURS)});
        const shown = this._marks.get(cell)?.kind;
        return mark && shown && (cell === active || mark[MARK] === active.model.id);
      }) ?? null
      : null;
  }

  get canChoose() {
    return this._atHand() !== null;
  }

  // Of the active cell, by the keyboard.
  take(whether) {
    const cell = this._atHand();
    if (cell) {
      this._choose(this._notebooks.currentWidget, cell, whether);
    }
  }
}
