// @madang/lab: the slice of this server in JupyterLab's status bar, until when it is one's own,
// and what is to be done when it is asked back; the form of a job; the button "Update course".
//
// A prebuilt JupyterLab 4 extension is a webpack module-federation container:
// an object with init(scope) and get(module). That is little enough to write
// by hand, which spares a second toolchain in the image. Trap: the names in
// `scope` and the shape of its entries are webpack's; tests/browser opens a
// real Lab, so a change there is seen.
(() => {
  'use strict';

  const NAME = '@madang/lab';
  const AGAIN = 5000; // ms until what could not be loaded is asked for again; longer each time
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

  const sleep = ms => new Promise(done => setTimeout(done, ms));

  const style = file => {
    const link = document.createElement('link');
    link.rel = 'stylesheet';
    link.href = beside(file);
    document.head.append(link);
  };

  // The place in the status bar, which is there before anything that may fail to load.
  const place = Widget => {
    const item = new Widget({node: document.createElement('button')});
    item.id = 'madang-slice';
    item.node.type = 'button';
    item.node.disabled = true;
    item.node.textContent = 'Madang …';
    // Lab's own class: colour, hover and size follow the theme
    item.addClass('jp-StatusBar-TextItem');
    item.addClass('madang-Indicator');
    return item;
  };

  const load = async (file, attempt) => {
    // a browser may give a module that failed once as failed for ever, but not by another name
    const made = await import(beside(`${file}${attempt ? `?${attempt}` : ''}`));
    const answer = await fetch(beside('words.json'));
    if (!answer.ok) {
      throw new Error(`${NAME}: words.json: ${answer.status}`);
    }
    return {made, words: await answer.json(), lab: await libraries()};
  };

  // What `start` gives of a file's module, started. Not awaited by Lab, which is restored only when
  // every plugin has activated; after that it has set the language of the document.
  const begin = async (app, file, start) => {
    await app.restored;
    for (let attempt = 0; ; attempt += 1) {
      try {
        const {made, words, lab} = await load(file, attempt);
        const one = start(made, lab, words);
        one.start();
        return one;
      } catch (error) {
        console.warn(error);
        await sleep(AGAIN * (attempt + 1));
      }
    }
  };

  const activate = Widget => (app, statusBar, documents) => {
    style('madang.css');
    const item = place(Widget);
    statusBar?.registerStatusItem(`${NAME}:slice`, {item, align: 'left', rank: 0});
    begin(app, 'indicator.js', ({Indicator}, lab, words) =>
      new Indicator(lab, app, documents, words, item));
  };

  // In place of the scheduler's own button in a notebook (settings/overrides.json), which takes
  // whichever file is selected in the file browser.
  const createFromNotebook = (commands, notebooks) => {
    const theirs = 'scheduling:create-from-notebook';
    commands.addCommand('madang:create-job', {
      label: () => commands.label(theirs),
      icon: () => commands.icon(theirs),
      execute: async () => {
        const path = notebooks?.currentWidget?.context.path;
        if (path) {
          await commands.execute('filebrowser:go-to-path', {path});
          await commands.execute(theirs);
        }
      },
    });
  };

  // Our part of the form of a job, loaded when the form is opened; null where Lab has no form.
  const jobs = async () => {
    if (!shared['@jupyterlab/scheduler']) {
      return null;
    }
    const scheduler = await library('@jupyterlab/scheduler');
    const {INotebookTracker} = await library('@jupyterlab/notebook');
    const react = await library('react');
    const open = async app => {
      style('jobs.css');
      const {Jobs} = await import(beside('jobs.js'));
      const words = await (await fetch(beside('jobs.json'))).json();
      return {default: new Jobs({...await libraries(), scheduler, react}, app, words).component};
    };
    return {
      id: `${NAME}:jobs`,
      description: 'What the form of a job asks and shows of a run or a schedule of Madang.',
      autoStart: true,
      provides: scheduler.Scheduler.IAdvancedOptions,
      optional: [INotebookTracker],
      activate: (app, notebooks) => {
        createFromNotebook(app.commands, notebooks);
        const Options = react.lazy(() => open(app));
        const {createElement: make, Suspense} = react;
        return props => make(Suspense, {fallback: null}, make(Options, props));
      },
    };
  };

  // The item of the courses, hidden until there is something new.
  const quiet = Widget => {
    const item = new Widget({node: document.createElement('button')});
    item.id = 'madang-course';
    item.node.type = 'button';
    item.addClass('jp-StatusBar-TextItem');
    item.addClass('madang-Indicator');
    item.hide();
    return item;
  };

  // The folder that is selected in the file browser, where it is one in which courses lie.
  const selected = browsers => {
    const [one, ...more] = browsers?.tracker.currentWidget?.selectedItems() ?? [];
    return one?.type === 'directory' && !more.length
      ? (/^courses\/([^/]+)$/.exec(one.path)?.[1] ?? '') : '';
  };

  // `courses()`: what courses.js made, null until it is there.
  const addCommands = (app, courses, item, browsers, palette) => {
    const {commands, contextMenu} = app;
    const label = name => () => courses()?.say(name) ?? '';
    const [update, folder, take, keep] = [
      'update-course', 'update-folder', 'take-new-version', 'keep-mine',
    ].map(name => `madang:${name}`);
    commands.addCommand(update, {
      label: label('course.command'),
      execute: () => courses()?.press(),
    });
    commands.addCommand(folder, {
      label: label('course.command'),
      isVisible: () => courses()?.names.includes(selected(browsers)) ?? false,
      execute: () => courses()?.press(selected(browsers)),
    });
    for (const [command, name, whether] of [
      [take, 'course.command.take', true], [keep, 'course.command.keep', false],
    ]) {
      commands.addCommand(command, {
        label: label(name),
        isEnabled: () => courses()?.cells?.canChoose ?? false,
        execute: () => courses()?.cells?.take(whether),
      });
    }
    for (const command of [update, take, keep]) {
      palette?.addItem({command, category: 'Madang'});
    }
    contextMenu?.addItem({
      command: folder, selector: '.jp-DirListing-item[data-isdir="true"]', rank: 4,
    });
    item.node.addEventListener('click', () => commands.execute(update));
  };

  // "Update course"; null where Lab lacks what it needs.
  const courses = async Widget => {
    const {IStatusBar} = await library('@jupyterlab/statusbar');
    const {IDocumentManager} = await library('@jupyterlab/docmanager');
    const {ICommandPalette} = await library('@jupyterlab/apputils');
    const {INotebookTracker} = await library('@jupyterlab/notebook');
    const {IFileBrowserFactory} = await library('@jupyterlab/filebrowser');
    return {
      id: `${NAME}:courses`,
      description: 'Brings the courses in this home up to date, without losing a line.',
      autoStart: true,
      requires: [IDocumentManager],
      optional: [IStatusBar, INotebookTracker, ICommandPalette, IFileBrowserFactory],
      activate: (app, documents, statusBar, notebooks, palette, browsers) => {
        style('courses.css');
        const item = quiet(Widget);
        let made = null;
        const first = new WeakMap(); // context → its cells when it was opened, also before we were
        notebooks?.widgetAdded.connect(async (_, {context}) => {
          await context.ready;
          first.set(context, context.model.sharedModel.cells.map(cell => cell.toJSON()));
        });
        statusBar?.registerStatusItem(`${NAME}:courses`, {
          item, align: 'left', rank: 1, isActive: () => Boolean(item.node.textContent),
        });
        addCommands(app, () => made, item, browsers, palette);
        begin(app, 'courses.js', ({Courses}, lab, words) => {
          made = new Courses(lab, app, {documents, notebooks, first}, words, item);
          return made;
        });
      },
    };
  };

  const extension = async () => {
    const {Widget} = await library('@lumino/widgets');
    const {IStatusBar} = await library('@jupyterlab/statusbar');
    const {IDocumentManager} = await library('@jupyterlab/docmanager');
    const slice = {
      id: `${NAME}:slice`,
      description: 'Shows the slice of this server, until when, and gives it back.',
      autoStart: true,
      // Optional: simple mode and other front ends have no status bar.
      optional: [IStatusBar, IDocumentManager],
      activate: activate(Widget),
    };
    const more = await Promise.all([
      courses(Widget).catch(console.warn), jobs().catch(console.warn),
    ]);
    return {__esModule: true, default: [slice, ...more.filter(Boolean)]};
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
