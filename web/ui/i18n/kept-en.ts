/** English texts on what the browser keeps of models. */
export const keptEn = {
  title: 'Kept in this browser',
  titleTotal: (bytes: string) => `Kept in this browser: ${bytes}`,
  nothing:
    'No weights are kept here yet. What a tab downloads stays here, so that the next visit need not download it again.',
  none: 'This browser keeps no files for this page: weights are downloaded again at each visit.',
  room: (used: string, quota: string) => `This page uses ${used} of the ${quota} that the browser allows it.`,
  fates: {
    kept: 'The browser keeps these files until you delete them here or clear this site’s data.',
    'may-go':
      'The browser may delete these files when space runs short; they would be downloaded again at the next start.',
    unknown: 'The browser does not say whether it keeps these files.',
  },
  inUse: 'in use by a tab',
  inUseHelp: 'What a tab loads or serves cannot be deleted. Stop donating there, or close that tab, first.',
  delete: (model: string) => `Delete ${model}`,
  deleteTitle: 'Delete kept weights',
  deleteAsk: (model: string, bytes: string) =>
    `Delete the ${bytes} kept of ${model}? Whoever donates it again here downloads them again.`,
  deleted: (model: string, bytes: string) => `Deleted ${model}: ${bytes} are free again.`,
  deleteRefused: (model: string) =>
    `${model} was not deleted: a tab of this browser began to use it. Stop donating there, or close that tab, then delete it.`,
  deletePartly: (model: string, freed: string, left: string, reason: string) =>
    `${model} was not deleted in full: ${freed} are gone, ${left} are left, because the browser refused (${reason}). What is left is still good. Close this page’s other tabs, then delete it again.`,
}
