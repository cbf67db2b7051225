// As much of a browser and of Lab as the extension touches, in Node. Plays what the server answers
// (argv[3]: {words: how often its words cannot be had, answers: [[status, body], …], open: whether
// its panel is opened, press: the action that is taken}) and prints what the person was told.

import {readFileSync} from 'node:fs';
import {pathToFileURL} from 'node:url';

const [, , folder, played] = process.argv;
const {answers, words = 0, open = false, press = ''} = JSON.parse(played);
const report = {item: null, heard: [], told: [], taken: 0, tabs: [], dialog: null, texts: []};

class Element {
  constructor() {
    Object.assign(this, {dataset: {}, children: [], attributes: {}, heard: {}, textContent: ''});
    this.classList = {toggle: () => {}};
  }

  append(...children) {
    this.children.push(...children);
  }

  replaceChildren(...children) {
    this.children = children;
  }

  setAttribute(name, value) {
    this.attributes[name] = value;
  }

  getAttribute(name) {
    return this.attributes[name] ?? null;
  }

  addEventListener(name, act) {
    this.heard[name] = act;
  }
}

class Widget {
  constructor({node}) {
    this.node = node;
  }

  addClass() {}
}

// ---- time: it passes when we say so --------------------------------------------------------

let time = Date.parse('2026-01-01T09:00:00Z');
let tick = null;
Date.now = () => time;
const soon = setTimeout;
// after everything that waits for nothing outside
const settled = () => new Promise(done => soon(done, 1));
globalThis.setTimeout = act => soon(act, 0);
globalThis.setInterval = act => {
  tick = act;
};

// ---- the browser ---------------------------------------------------------------------------

const base = pathToFileURL(`${folder}/`);
globalThis.window = {open: address => report.tabs.push(address)};
globalThis.document = {
  createElement: () => new Element(),
  head: new Element(),
  body: new Element(),
  documentElement: {lang: 'en'},
  addEventListener: () => {},
  currentScript: {src: new URL('remoteEntry.js', base).href},
};
let failures = words;
globalThis.fetch = async address => {
  failures -= 1;
  if (failures >= 0) {
    throw new TypeError('Failed to fetch');
  }
  return {ok: true, json: async () => JSON.parse(readFileSync(new URL(address), 'utf8'))};
};
console.warn = () => {};

// ---- Lab -----------------------------------------------------------------------------------

const tell = kind => (text, {actions = []}) => {
  report.told.push({kind, text, actions: actions.map(x => x.label)});
  actions.find(x => x.label === press)?.callback();
  return `note-${report.told.length}`;
};
const shared = {
  '@jupyterlab/apputils': {
    Notification: {
      manager: {
        changed: {
          emit: ({type, notification}) => report.heard.push(`${type} ${notification.id}`),
        },
      },
      ...Object.fromEntries(['info', 'success', 'warning', 'error'].map(x => [x, tell(x)])),
      dismiss: () => {
        report.taken += 1;
      },
    },
    Dialog: {cancelButton: x => x, warnButton: x => x, okButton: x => x},
    showDialog: async ({body, buttons}) => {
      report.dialog = {
        buttons: buttons.map(x => x.label),
        rows: body.node.children.map(x => x.textContent),
      };
      return {button: {actions: []}};
    },
  },
  '@jupyterlab/coreutils': {PageConfig: {getOption: () => ''}},
  '@jupyterlab/services': {
    ServerConnection: {
      makeRequest: async () => {
        const [status, body] = answers.shift() ?? [200, {}];
        if (!status) {
          throw new TypeError('Failed to fetch');
        }
        const ok = status < 300;
        // the clock of the server is the browser's
        const now = new Date(time).toISOString();
        return {ok, status, json: async () => (ok ? {now, ...body} : body)};
      },
    },
  },
  '@lumino/widgets': {Widget},
  '@jupyterlab/statusbar': {IStatusBar: 'bar'},
  '@jupyterlab/docmanager': {IDocumentManager: 'documents'},
};

await import(new URL('remoteEntry.js', base));
const extension = globalThis.window._JUPYTERLAB['@madang/lab'];
extension.init(Object.fromEntries(
  Object.entries(shared).map(([name, value]) => [name, {'1': {get: async () => () => value}}]),
));
const {default: plugins} = (await extension.get('./extension'))();
const [plugin] = [].concat(plugins);
const app = {
  restored: Promise.resolve(),
  serviceManager: {serverSettings: {baseUrl: 'http://hub/user/ana/'}},
};
let item = null;
plugin.activate(app, {registerStatusItem: (id, given) => { item = given.item.node; }}, null);
report.item = item && item.textContent; // at once, whatever else comes
while (!tick) {
  await settled();
}
await settled();
while (answers.length) {
  report.texts.push(item.children[0]?.textContent);
  time += 31_000;
  tick();
  await settled();
}
report.texts.push(item.children[0]?.textContent);
if (open) {
  item.heard.click();
  await settled();
}
process.stdout.write(JSON.stringify(report));
