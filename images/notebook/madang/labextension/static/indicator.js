// The item in the status bar, the notifications, the panel. `lab` holds Lab's libraries.

// by the same name as ours, see remoteEntry.js
const {search} = new URL(import.meta.url);
const {agreed} = await import(`./leaving.js${search}`);
const {
  clock, ended, extendable, fill, isGone, line, mark, missing, noticed, pause, rows, spoken,
  standing,
} = await import(`./telling.js${search}`);

const NOTHING = {slice: null, text: '', state: null, waiting: null};

export class Indicator {
  constructor(lab, app, documents, words, item) {
    this._lab = lab;
    this._app = app;
    this._documents = documents;
    this._words = words;
    this._found = null;
    this._stand = null;
    this._skew = 0; // seconds that the server's clock is ahead of the browser's
    this._asked = 0;
    this._looking = null;
    this._misses = 0; // looks in a row that were answered where the server was, and not by it
    this._told = null; // the notice and its mark that were told last, or the end
    this._note = '';
    this._panel = null;
    this._leaving = false;
    this.item = item;
    this._makeItem();
  }

  start() {
    this._prepare();
    this._look();
    setInterval(() => this._tick(), 1000);
    // a laptop that wakes up shows what is true now
    document.addEventListener('visibilitychange', () => document.hidden || this._look());
  }

  // Lab asks its server for what shows a notification when the first one comes; the one of the
  // server's end would come too late. So let it believe now that one is gone, which never was.
  _prepare() {
    const notification = {id: 'madang-none', message: '', type: 'default', options: {}};
    this._lab.apputils.Notification.manager.changed.emit?.({type: 'removed', notification});
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
      // without `Accept` the hub answers with a page, also for a server that is no more
      {method, headers: {'Accept-Language': this._language, Accept: 'application/json'}},
      settings,
    );
    const body = await answer.json().catch(() => ({}));
    return {ok: answer.ok, status: answer.status, body};
  }

  _look() {
    this._looking ??= this._see().finally(() => {
      this._looking = null;
    });
    return this._looking;
  }

  async _see() {
    this._asked = Date.now() / 1000;
    const answer = await this._ask('GET', '').catch(error => ({body: {}, error}));
    if (answer.ok && answer.body.now) {
      this._misses = 0;
      this._learn(answer.body);
    } else if (missing(answer)) {
      this._misses += 1;
      if (isGone(this._misses, this._stand)) {
        this._found = {...NOTHING, ...this._found, gone: true};
      }
    } else {
      console.warn(answer.error || `madang/lease answered ${answer.status}`);
      this._misses = 0;
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
    this._found = body.away && known ? {...this._found, away: true, gone: false} : body;
  }

  // ---- showing ------------------------------------------------------------

  _makeItem() {
    const {node} = this.item;
    node.addEventListener('click', () => this._open());
    this._text = document.createElement('span');
    node.replaceChildren(this._text);
    // beside it, not in it: nobody reads out what changes inside of a button
    this._live = document.createElement('div');
    this._live.className = 'madang-Live';
    this._live.setAttribute('aria-live', 'polite');
    document.body.append(this._live);
  }

  _tick(mayLook = true) {
    const found = this._found;
    if (!found) {
      this._text.textContent = this._say.lost;
    } else {
      const stand = standing(found, this._now);
      this._stand = stand;
      this._show(found, stand);
      this._notify(found, stand);
      this._panel?.(found, stand);
    }
    if (mayLook && Date.now() / 1000 - this._asked >= pause(this._stand, this._misses)) {
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
    const label = found.slice ? `${say.slice}: ${aloud}` : aloud;
    if (node.getAttribute('aria-label') !== label) {
      node.setAttribute('aria-label', label);
    }
    const details = [label, found.text, found.uuid, found.refused, found.away && say.away];
    this._set(node, 'title', [...new Set(details)].filter(Boolean).join('\n'));
    node.dataset.kind = stand.kind;
    node.disabled = !found.slice && !found.gone;
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
    const end = ended(found, stand, now, say);
    if (end) {
      this._tellEnd(found, end);
      return;
    }
    if (stand.kind !== 'notice') {
      if (this._told !== null) {
        const asked = this._told !== 'end';
        this._hush();
        this._told = null;
        if (asked && (stand.kind === 'promised' || stand.kind === 'free')) {
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
    const more = {label: say.extend, displayType: 'default', callback: () => this._extend()};
    this._note = Notification.warning(noticed(found, now, say, language), {
      autoClose: false,
      actions: [
        ...(extendable(found) ? [more] : []),
        {label: say.giveback, displayType: 'warn', callback: () => this._giveBack()},
      ],
    });
  }

  // Once: what the service says of the end, or that the hub's page of the server knows why.
  _tellEnd(found, text) {
    if (this._told === 'end' || this._leaving) {
      return;
    }
    this._told = 'end';
    this._hush();
    this._note = this._lab.apputils.Notification.error(text, {
      autoClose: false,
      actions: found.gone ? [{label: this._say.why, callback: () => this._why()}] : [],
    });
  }

  // In a tab of its own: what could not be saved can still be read in this one.
  _why() {
    window.open(this._app.serviceManager.serverSettings.baseUrl, '_blank');
  }

  _hush() {
    if (this._note) {
      this._lab.apputils.Notification.dismiss(this._note);
      this._note = '';
    }
  }

  // ---- the panel ----------------------------------------------------------

  async _open() {
    if (!this._found || this._panel) {
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
        ...(this._found.gone ? [Dialog.okButton({label: say.why, actions: ['why']})] : []),
        ...(over ? [] : [
          Dialog.warnButton({label: say.giveback, actions: ['give-back']}),
          ...(extendable(this._found)
            ? [Dialog.okButton({label: say.extend, actions: ['extend']})] : []),
        ]),
      ],
      defaultButton: 0,
    });
    this._panel = null;
    if (result.button.actions.includes('extend')) {
      this._extend();
    } else if (result.button.actions.includes('give-back')) {
      this._giveBack();
    } else if (result.button.actions.includes('why')) {
      this._why();
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
    this._learn({...this._found, away: false, ...answer.body});
    this._tick(false);
    const time = clock(state.promised || state.until, this._now, this._language);
    const text = fill(this._say.extended, {time});
    this._lab.apputils.Notification.success(text, {autoClose: 10000});
  }

  async _giveBack() {
    if (await agreed(this._lab.apputils, this._say, this._app, this._documents)) {
      await this._leave();
    }
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
