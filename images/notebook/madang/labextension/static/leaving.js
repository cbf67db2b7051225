// Before a slice is given back: the person is asked, and what is open is saved.

// Paths of what is still not saved. Not docmanager:save-all where there is a choice: it writes
// also what has not changed, and shows an error for each document that is only read.
const saveAll = async (app, documents) => {
  if (!documents) {
    await app.commands.execute('docmanager:save-all');
    return [];
  }
  const areas = ['main', 'down', 'left', 'right'];
  const open = areas.flatMap(area => [...app.shell.widgets(area)]);
  const contexts = new Set(open.map(widget => documents.contextForWidget(widget)));
  const dirty = () => [...contexts].filter(context => context?.model.dirty);
  await Promise.allSettled(dirty().map(context => context.save()));
  return dirty().map(context => context.path);
};

// Whether the person agrees; asked once more where something could not be saved.
export const agreed = async ({Dialog, showDialog}, say, app, documents) => {
  const ask = (title, body, yes) =>
    showDialog({
      title,
      body,
      buttons: [Dialog.cancelButton({label: say.stay}), Dialog.warnButton({label: yes})],
      defaultButton: 0,
    }).then(result => result.button.accept);
  if (!(await ask(say.ask, say['ask.body'], say.giveback))) {
    return false;
  }
  const unsaved = await saveAll(app, documents);
  const names = unsaved.join(', ');
  return !names || ask(say.unsaved, say['unsaved.body'].replace('{names}', () => names),
    say['unsaved.go']);
};
