// Our part of Lab's Notebook Jobs: the options of a run or a schedule that Lab's form does not
// have, its parameters as the notebook declares them, and what is known of a run.
//
// jupyter_scheduler shows one component wherever it says "Additional options", and leaves to
// whoever provides it what to show in which view. `lab` holds Lab's libraries.

const UNITS = /^\s*(?=.*\d)(\d+d)?(\d+h)?(\d+m)?(\d+s?)?\s*$/;
const HOURS = /^\s*(none|[1-9]\d{0,2}\s*h)?\s*$/;
const RETRIES = /^\s*(\d|10)?\s*$/;

export const fill = (text, values) =>
  text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));

// What is wrong with an option, as the key of a text; "" where nothing is.
export const wrong = (name, value) => {
  const text = String(value ?? '');
  const forms = {timeout: UNITS, catch_up: HOURS, retries: RETRIES};
  const fits = !(name in forms) || !text.trim() || forms[name].test(text);
  return fits ? '' : `wrong.${name}`;
};

// Rows of [label, text] of what is known of a run or a schedule.
export const rows = (known, texts) => {
  const names = [
    'stage', 'profile', 'group', 'slice', 'attempt', 'cells', 'steps', 'metrics', 'timeout',
    'retries', 'secrets', 'notify', 'overlap', 'catch_up', 'next', 'last', 'sweep', 'source',
    'note',
  ];
  const shown = (name, value) => texts[`${name}.${value}`]
    ?? (name === 'timeout' ? span(value, texts) : String(value));
  return names
    .filter(name => known[name] !== undefined && !(name === 'attempt' && known[name] === 1))
    .map(name => [texts[name], shown(name, known[name])]);
};

const span = (seconds, texts) => {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'm'], [1, 's']];
  let left = Number(seconds);
  return parts
    .map(([unit, name]) => {
      const count = Math.floor(left / unit);
      left -= count * unit;
      return count ? `${count}${texts[`unit.${name}`]}` : '';
    })
    .filter(Boolean)
    .join(' ');
};

// The form's own list where nobody has touched it yet.
export const offered = declared => declared
  .filter(one => one.literal)
  .map(({name, default: value}) => ({name, value}));

export class Jobs {
  constructor(lab, app, words) {
    this._lab = lab;
    this._app = app;
    this._words = words;
    this.component = this.component.bind(this);
  }

  component(props) {
    const {JobsView} = this._lab.scheduler;
    const {createElement} = this._lab.react;
    if (props.jobsView === JobsView.CreateForm) {
      return createElement(Form, {...props, jobs: this});
    }
    return createElement(Known, {...props, jobs: this});
  }

  get react() {
    return this._lab.react;
  }

  get texts() {
    const language = document.documentElement.lang || 'en';
    return language.startsWith('ko') ? this._words.ko : this._words.en;
  }

  execute(command, args) {
    return this._app.commands.execute(command, args);
  }

  // What the server answers; throws an Error with its text.
  async ask(method, path) {
    const {ServerConnection} = this._lab.services;
    const settings = this._app.serviceManager.serverSettings;
    const answer = await ServerConnection.makeRequest(
      `${settings.baseUrl}madang/jobs/${path}`, {method}, settings,
    );
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      throw new Error(body.message || this.texts.noanswer);
    }
    return body;
  }

  // What is run is the file: a notebook that is open is saved before.
  async save(path) {
    for (const widget of this._app.shell.widgets('main')) {
      const {context} = widget;
      if (context?.path === path && context.model.dirty) {
        await context.save();
      }
    }
  }

  note(lines) {
    if (lines.length) {
      this._lab.apputils.Notification.info(lines.join('\n'), {autoClose: 15000});
    }
  }

  tell(error) {
    this._lab.apputils.Notification.error(error.message, {autoClose: 15000});
  }
}

// ---- the form ---------------------------------------------------------------

const Form = props => {
  const {jobs, model} = props;
  const {createElement: make} = jobs.react;
  const groups = useBeginning(props);
  const of = name => String(model.runtimeEnvironmentParameters?.[name] ?? '');
  const set = (name, value) => {
    const {[name]: _, ...others} = model.runtimeEnvironmentParameters ?? {};
    const kept = value.trim() ? {...others, [name]: value} : others;
    props.handleModelChange({...model, runtimeEnvironmentParameters: kept});
    const problem = wrong(name, value);
    props.handleErrorsChange({...props.errors, [name]: problem && jobs.texts[problem]});
  };
  const field = (name, choices) => make(Field, {
    key: name, name, choices, jobs, value: of(name), error: props.errors[name], set,
  });
  const scheduled = model.createType === 'JobDefinition';
  return make('div', {className: 'madang-Jobs'}, [
    // where there is a choice
    ...(groups.length > 1 ? [field('group', groups)] : []),
    field('timeout'), field('retries'), field('secrets'), field('notify'),
    ...(scheduled ? [field('overlap', ['skip', 'queue', 'replace']), field('catch_up')] : []),
  ]);
};

const Field = ({jobs, name, value, error, set, choices}) => {
  const {createElement: make} = jobs.react;
  const {texts} = jobs;
  const id = `madang-jobs-${name}`;
  const common = {
    id, value, 'aria-describedby': `${id}-help`,
    'aria-invalid': Boolean(error), onChange: event => set(name, event.target.value),
  };
  const input = choices
    ? make('select', {...common, value: value || choices[0]}, choices.map(
        choice => make('option', {key: choice, value: choice}, texts[`${name}.${choice}`] ?? choice),
      ))
    : make('input', {...common, type: 'text', placeholder: texts[`${name}.example`]});
  return make('div', {className: 'madang-Jobs-field'},
    make('label', {htmlFor: id}, texts[name]),
    input,
    make('span', {id: `${id}-help`, className: error ? 'madang-mod-wrong' : ''},
      error || texts[`${name}.help`]),
  );
};

// Once, when Lab has filled its own part in (it writes over what was set before): the parameters
// that the notebook declares; when these are there, its folder goes with it. Not both at once:
// each writes the whole model as it was at the last rendering. Gives the person's groups.
const useBeginning = props => {
  const {jobs, model} = props;
  const {useEffect, useRef, useState} = jobs.react;
  const [groups, setGroups] = useState([]);
  const latest = useRef(props);
  latest.current = props;
  const ready = model.environment !== '' && Boolean(model.inputFile);
  const begun = model.parameters !== undefined;
  useEffect(() => {
    let gone = !ready;
    const begin = async () => {
      await jobs.save(model.inputFile);
      const path = encodeURIComponent(model.inputFile);
      const found = await jobs.ask('GET', `form?path=${path}`).catch(error => {
        jobs.tell(error);
        return {parameters: [], groups: []};
      });
      const {model: now, handleModelChange} = latest.current;
      if (!gone) {
        setGroups(found.groups);
      }
      if (!gone && now.parameters === undefined) {
        handleModelChange({...now, parameters: offered(found.parameters)});
      }
    };
    if (!gone) {
      begin();
    }
    return () => {
      gone = true;
    };
  }, [ready, model.inputFile]);
  useEffect(() => {
    if (ready && begun) {
      tickFolder(model);
    }
  }, [ready, begun]);
  return groups;
};

// Lab's own box can be set in no other way. The home itself is no folder of a notebook.
const tickFolder = model => {
  const box = document.querySelector('.jp-create-job-form input[name="packageInputFolder"]');
  const wanted = model.packageInputFolder ?? model.inputFile.includes('/');
  if (box && wanted && !box.checked) {
    box.click();
  }
};

// ---- what is known ----------------------------------------------------------

const ENDED = ['COMPLETED', 'FAILED', 'STOPPED'];
const WAITS = ['CREATED', 'QUEUED'];

const Known = ({jobs, model}) => {
  const {createElement: make, useEffect, useRef, useState} = jobs.react;
  const [busy, setBusy] = useState(false);
  const node = useRef(null);
  const calm = Boolean(model.status) && !['FAILED', 'STOPPED'].includes(model.status);
  useEffect(() => {
    const panel = node.current.closest('.jp-notebook-jobs-panel');
    panel?.classList.toggle('madang-mod-calm', calm);
    return () => panel?.classList.remove('madang-mod-calm');
  }, [calm]);
  const {texts} = jobs;
  const known = model.runtimeEnvironmentParameters ?? {};
  const press = act => async event => {
    event.preventDefault();
    setBusy(true);
    try {
      await act();
    } catch (error) {
      jobs.tell(error);
    }
    setBusy(false);
  };
  const list = () => jobs.execute('scheduling:list-jobs-from-launcher');
  const acts = {
    folder: known.folder
      && (() => jobs.execute('filebrowser:open-path', {path: known.folder})),
    leave: WAITS.includes(model.status)
      && (() => jobs.execute('scheduling:stop-job', {id: model.jobId}).then(list)),
    again: ENDED.includes(model.status)
      && (() => jobs.ask('POST', `${model.jobId}/again`).then(made => {
        jobs.note(made.differs);
        return list();
      })),
  };
  const buttons = Object.entries(acts)
    .filter(([, act]) => act)
    .map(([name, act]) => make('button', {
      key: name, type: 'button', disabled: busy, className: 'jp-mod-styled',
      onClick: press(act), title: name === 'folder' ? known.folder : undefined,
    }, texts[`act.${name}`]));
  return make('div', {className: 'madang-Jobs', ref: node},
    make('dl', {className: 'madang-Panel'}, rows(known, texts).flatMap(([label, text]) => [
      make('dt', {key: label}, label), make('dd', {key: `${label}-`}, text),
    ])),
    make('div', {className: 'madang-Jobs-acts'}, buttons),
  );
};
