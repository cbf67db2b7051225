// The item in the status bar, the notifications, the panel. `lab` holds Lab's libraries.

import {clock, fill, line, mark, noticed, rows, spoken, standing} from './telling.js';

const OFTEN = 10; // seconds between two looks while a notice runs
const SELDOM = 30;

export class Indicator {
  constructor(lab, app, documents, words) {
    this._lab = lab;
    this._app = app;
    this._documents = documents;
    this._words = words;
    this._found = null;
    this._skew = 0; // seconds that the server's clock is ahead of the browser's
    this._asked = 0;
    this._told = null; // the notice and its mark that were told last
    this._note = '';
    this._panel = null;
    this._leaving = false;
    this.item = this._makeItem();
  }

  start() {
    this._look();
    setInterval(() => this._tick(), 1000);
    // a laptop that wakes up shows what is true now
    document.addEventListener('visibilitychange', () => document.hidden || this._look());
  }

  // ---- language and time --------------------------------------------------

  get _language() {
    return document.documentElement.lang || 'en';
  }

  get _say() {
    return this._language.startsWith('ko') ? this._words.ko : this._words.en;
  }

  get _now() {
    return Date.now() / 1000 + this._skew;
  }

  // ---- asking -------------------------------------------------------------

  // {ok, status, body}; throws when the server cannot be reached.
  async _ask(method, path) {
    const {ServerConnection} = this._lab.services;
    const settings = this._app.serviceManager.serverSettings;
    const answer = await ServerConnection.makeRequest(
      `${settings.baseUrl}madang/lease${path}`,
      {method, headers: {'Accept-Language': this._language}},
      settings,
    );
    const body = await answer.json().catch(() => ({}));
    return {ok: answer.ok, status: answer.status, body};
  }

  async _look() {
    this._asked = Date.now() / 1000;
    try {
      const {ok, status, body} = await this._ask('GET', '');
      if (!ok) {
        throw new Error(`madang/lease answered ${status}`);
      }
      this._learn(body);
    } catch (error) {
      console.warn(error);
      if (this._found) {
        this._found.away = true;
      }
    }
    this._tick(false);
  }

  _learn(body) {
    this._skew = Date.parse(body.now) / 1000 - Date.now() / 1000;
    // while the service is away, what it said last is still the best that is known
    const known = this._found && this._found.state;
    this._found = body.away && known ? {...this._found, away: true} : body;
  }

  // ---- showing ------------------------------------------------------------

  _makeItem() {
    const {Widget} = this._lab.widgets;
    const item = new Widget({node: document.createElement('button')});
    item.id = 'madang-slice';
    item.node.type = 'button';
    // Lab's own class: colour, hover and size follow the theme
    item.addClass('jp-StatusBar-TextItem');
    item.addClass('madang-Indicator');
    item.node.addEventListener('click', () => this._open());
    this._text = document.createElement('span');
    item.node.append(this._text);
    // beside it, not in it: nobody reads out what changes inside of a button
    this._live = document.createElement('div');
    this._live.className = 'madang-Live';
    this._live.setAttribute('aria-live', 'polite');
    document.body.append(this._live);
    return item;
  }

  _tick(mayLook = true) {
    const found = this._found;
    if (!found) {
      this._text.textContent = this._say.lost;
    } else {
      const stand = standing(found, this._now);
      this._show(found, stand);
      this._notify(found, stand);
      this._panel?.(found, stand);
    }
    const pause = this._told === null ? SELDOM : OFTEN;
    // a server without a slice has nothing that could change
    if (mayLook && (!found || found.slice) && Date.now() / 1000 - this._asked >= pause) {
      this._look();
    }
  }

  _show(found, stand) {
    const {_say: say, _now: now, _language: language} = this;
    const node = this.item.node;
    const aloud = spoken(found, stand, now, say, language);
    this._set(this._text, 'textContent', line(found, stand, now, say, language));
    // in a live region every second would be read out
    this._set(this._live, 'textContent', stand.kind === 'notice' ? aloud : '');
    const label = stand.kind === 'cpu' ? aloud : `${say.slice}: ${aloud}`;
    if (node.getAttribute('aria-label') !== label) {
      node.setAttribute('aria-label', label);
    }
    const details = [label, found.text, found.uuid, found.refused, found.away && say.away];
    this._set(node, 'title', [...new Set(details)].filter(Boolean).join('\n'));
    node.dataset.kind = stand.kind;
    node.disabled = !found.slice;
    node.classList.toggle('madang-mod-last', stand.kind === 'notice' && mark(stand.left) === 1);
  }

  // A text set again would be read out again.
  _set(node, name, value) {
    if (node[name] !== value) {
      node[name] = value;
    }
  }

  // ---- notices ------------------------------------------------------------

  _notify(found, stand) {
    const {Notification} = this._lab.apputils;
    const {_say: say, _now: now, _language: language} = this;
    if (stand.kind !== 'notice') {
      if (this._told !== null) {
        this._hush();
        this._told = null;
        if (stand.kind === 'promised' || stand.kind === 'free') {
          Notification.info(fill(say.spared, {slice: found.slice}), {autoClose: 10000});
        }
      }
      return;
    }
    const passed = `${found.state.leave_by} ${mark(stand.left)}`;
    if (this._told === passed || this._leaving) {
      return;
    }
    this._told = passed;
    this._hush();
    this._note = Notification.warning(noticed(found, stand, now, say, language), {
      autoClose: false,
      actions: [
        {label: say.extend, displayType: 'default', callback: () => this._extend()},
        {label: say.giveback, displayType: 'warn', callback: () => this._giveBack()},
      ],
    });
  }

  _hush() {
    if (this._note) {
      this._lab.apputils.Notification.dismiss(this._note);
      this._note = '';
    }
  }

  // ---- the panel ----------------------------------------------------------

  async _open() {
    if (!this._found || !this._found.slice || this._panel) {
      return;
    }
    this._look();
    const {Dialog, showDialog} = this._lab.apputils;
    const {Widget} = this._lab.widgets;
    const say = this._say;
    const list = document.createElement('dl');
    list.className = 'madang-Panel';
    this._panel = (found, stand) => this._fillIn(list, found, stand);
    const stand = standing(this._found, this._now);
    this._panel(this._found, stand);
    const over = stand.kind === 'over';
    const result = await showDialog({
      title: stand.kind === 'notice' ? say['title.notice'] : say.title,
      body: new Widget({node: list}),
      buttons: [
        Dialog.cancelButton({label: say.close}),
        ...(over ? [] : [
          Dialog.warnButton({label: say.giveback, actions: ['give-back']}),
          Dialog.okButton({label: say.extend, actions: ['extend']}),
        ]),
      ],
      defaultButton: 0,
    });
    this._panel = null;
    if (result.button.actions.includes('extend')) {
      this._extend();
    } else if (result.button.actions.includes('give-back')) {
      this._giveBack();
    }
  }

  _fillIn(list, found, stand) {
    const wanted = rows(found, stand, this._now, this._say, this._language);
    if (found.away) {
      wanted.push(['', this._say.away]);
    }
    const text = JSON.stringify(wanted);
    if (list.dataset.shown === text) {
      return;
    }
    list.dataset.shown = text;
    list.replaceChildren(
      ...wanted.flatMap(pair =>
        ['dt', 'dd'].map((tag, i) => {
          const node = document.createElement(tag);
          node.textContent = pair[i];
          return node;
        }),
      ),
    );
  }

  // ---- doing --------------------------------------------------------------

  _refused({body}) {
    const text = body.reason === 'away' ? this._say.noanswer : body.message;
    this._lab.apputils.Notification.error(text || this._say.noanswer, {autoClose: 15000});
  }

  async _extend() {
    const answer = await this._ask('POST', '/extend').catch(() => ({body: {}}));
    if (!answer.ok) {
      this._refused(answer);
      return;
    }
    const {state} = answer.body;
    await this._look();
    const time = clock(state.promised || state.until, this._now, this._language);
    const text = fill(this._say.extended, {time});
    this._lab.apputils.Notification.success(text, {autoClose: 10000});
  }

  async _giveBack() {
    const {Dialog, showDialog} = this._lab.apputils;
    const say = this._say;
    const ask = (title, body, yes) =>
      showDialog({
        title,
        body,
        buttons: [Dialog.cancelButton({label: say.stay}), Dialog.warnButton({label: yes})],
        defaultButton: 0,
      }).then(result => result.button.accept);
    if (!(await ask(say.ask, say['ask.body'], say.giveback))) {
      return;
    }
    const unsaved = await this._saveAll();
    if (unsaved.length) {
      const body = fill(say['unsaved.body'], {names: unsaved.join(', ')});
      if (!(await ask(say.unsaved, body, say['unsaved.go']))) {
        return;
      }
    }
    await this._leave();
  }

  // Paths of what is still not saved. Not docmanager:save-all where there is a choice: it writes
  // also what has not changed, and shows an error for each document that is only read.
  async _saveAll() {
    if (!this._documents) {
      await this._app.commands.execute('docmanager:save-all');
      return [];
    }
    const areas = ['main', 'down', 'left', 'right'];
    const open = areas.flatMap(area => [...this._app.shell.widgets(area)]);
    const contexts = new Set(open.map(widget => this._documents.contextForWidget(widget)));
    const dirty = () => [...contexts].filter(context => context?.model.dirty);
    await Promise.allSettled(dirty().map(context => context.save()));
    return dirty().map(context => context.path);
  }

  async _leave() {
    this._leaving = true;
    let answer = null;
    try {
      answer = await this._ask('DELETE', '');
    } catch (error) {
      console.warn(error); // the server may be gone before it has answered
    }
    // what a proxy says of a server that is gone already is no refusal
    const refused = answer && !answer.ok
      && (answer.status < 500 || answer.body.reason === 'away');
    if (refused) {
      this._leaving = false;
      this._refused(answer);
      return;
    }
    const {PageConfig} = this._lab.coreutils;
    const hub = PageConfig.getOption('hubPrefix') || '/hub/';
    window.location.assign(`${PageConfig.getOption('hubHost')}${hub}home`);
  }
}
