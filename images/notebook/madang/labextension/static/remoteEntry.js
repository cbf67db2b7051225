// @madang/lab: the slice of this server in JupyterLab's status bar, until when it is one's own,
// and what is to be done when it is asked back.
//
// A prebuilt JupyterLab 4 extension is a webpack module-federation container:
// an object with init(scope) and get(module). That is little enough to write
// by hand, which spares a second toolchain in the image. Trap: the names in
// `scope` and the shape of its entries are webpack's; tests/browser opens a
// real Lab, so a change there is seen.
(() => {
  'use strict';

  const NAME = '@madang/lab';
  const HERE = document.currentScript.src;
  let shared = null;

  const beside = file => new URL(file, HERE).href;

  // A library that Lab itself loaded. Every version in the scope is Lab's own
  // (a singleton), so the first one is the one in use.
  const library = async name => {
    const versions = Object.values(shared[name] || {});
    if (!versions.length) {
      throw new Error(`${NAME}: Lab shares no ${name}`);
    }
    return (await versions[0].get())();
  };

  const libraries = async () => ({
    apputils: await library('@jupyterlab/apputils'),
    coreutils: await library('@jupyterlab/coreutils'),
    services: await library('@jupyterlab/services'),
    widgets: await library('@lumino/widgets'),
  });

  const style = () => {
    const link = document.createElement('link');
    link.rel = 'stylesheet';
    link.href = beside('madang.css');
    document.head.append(link);
  };

  const activate = async (app, statusBar, documents) => {
    style();
    const {Indicator} = await import(beside('indicator.js'));
    const words = await (await fetch(beside('words.json'))).json();
    const indicator = new Indicator(await libraries(), app, documents, words);
    if (statusBar) {
      const {item} = indicator;
      statusBar.registerStatusItem(`${NAME}:slice`, {item, align: 'left', rank: 0});
    }
    // After restored: by then Lab has set the language of the document. Not
    // awaited: Lab is restored only when every plugin has activated.
    app.restored.then(() => indicator.start());
  };

  const extension = async () => {
    const {IStatusBar} = await library('@jupyterlab/statusbar');
    const {IDocumentManager} = await library('@jupyterlab/docmanager');
    return {
      __esModule: true,
      default: {
        id: `${NAME}:slice`,
        description: 'Shows the slice of this server, until when, and gives it back.',
        autoStart: true,
        // Optional: simple mode and other front ends have no status bar.
        optional: [IStatusBar, IDocumentManager],
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
