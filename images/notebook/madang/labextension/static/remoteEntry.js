// @madang/lab: shows the slice of this server in JupyterLab's status bar.
//
// A prebuilt JupyterLab 4 extension is a webpack module-federation container:
// an object with init(scope) and get(module). That is little enough to write
// by hand, which spares a second toolchain in the image. Trap: the names in
// `scope` and the shape of its entries are webpack's; tests/browser opens a
// real Lab, so a change there is seen.
(() => {
  'use strict';

  const NAME = '@madang/lab';
  const WORDS = {
    en: {slice: 'GPU slice', memory: 'memory', none: 'CPU only', lost: 'slice unknown'},
    ko: {slice: 'GPU 슬라이스', memory: '메모리', none: 'CPU 전용', lost: '슬라이스 알 수 없음'},
  };
  let shared = null;

  // A library that Lab itself loaded. Every version in the scope is Lab's own
  // (a singleton), so the first one is the one in use.
  const lab = async library => {
    const versions = Object.values(shared[library] || {});
    if (!versions.length) {
      throw new Error(`${NAME}: Lab shares no ${library}`);
    }
    return (await versions[0].get())();
  };

  const words = () =>
    document.documentElement.lang.startsWith('ko') ? WORDS.ko : WORDS.en;

  // {slice, gpu, uuid, memory_mib, lease, text}; throws when there is no answer.
  const lease = async (serverConnection, settings) => {
    const url = `${settings.baseUrl}madang/lease`;
    const answer = await serverConnection.makeRequest(url, {}, settings);
    if (!answer.ok) {
      throw new Error(`${NAME}: ${url} answered ${answer.status}`);
    }
    return answer.json();
  };

  const describe = (node, found) => {
    const say = words();
    const text = found.slice ? found.text || found.slice : say.none;
    const details = [
      found.gpu,
      found.memory_mib && `${say.memory} ${(found.memory_mib / 1024).toFixed(1)} GiB`,
      found.uuid,
    ].filter(Boolean);
    node.textContent = text;
    node.title = found.slice ? [`${say.slice}: ${text}`, ...details].join('\n') : text;
    node.setAttribute('aria-label', `${say.slice}: ${text}`);
  };

  // Fill the item in; never throws.
  const show = async (item, serverConnection, settings) => {
    try {
      describe(item.node, await lease(serverConnection, settings));
    } catch (error) {
      console.warn(error);
      item.node.textContent = words().lost;
    }
  };

  const activate = async (app, statusBar) => {
    const {Widget} = await lab('@lumino/widgets');
    const {ServerConnection} = await lab('@jupyterlab/services');
    const item = new Widget();
    item.id = 'madang-slice';
    item.node.setAttribute('role', 'status');
    // Lab's own class: colour, hover and size follow the theme.
    item.addClass('jp-StatusBar-TextItem');
    if (statusBar) {
      statusBar.registerStatusItem(`${NAME}:slice`, {item, align: 'left', rank: 0});
    }
    // After restored: by then Lab has set the language of the document. Not
    // awaited: Lab is restored only when every plugin has activated.
    app.restored.then(() => show(item, ServerConnection, app.serviceManager.serverSettings));
  };

  const extension = async () => {
    const {IStatusBar} = await lab('@jupyterlab/statusbar');
    return {
      __esModule: true,
      default: {
        id: `${NAME}:slice`,
        description: 'Shows the slice of this server in the status bar.',
        autoStart: true,
        // Optional: simple mode and other front ends have no status bar.
        optional: [IStatusBar],
        activate,
      },
    };
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB[NAME] = {
    init: scope => {
      shared = scope;
    },
    // webpack wants a factory: get() resolves to a function that returns the module.
    get: async module => {
      if (module !== './extension') {
        throw new Error(`${NAME} has no ${module}`);
      }
      const loaded = await extension();
      return () => loaded;
    },
  };
})();
