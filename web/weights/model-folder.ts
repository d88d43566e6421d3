/** How the origin private file system names what is kept: one folder for all weights, in it one for each model. */
import type { CachedModel } from './weight-cache.ts'

export const WEIGHTS_FOLDER = 'weights-v1'

/** `owner/name` has one slash at most, and a commit none. */
export function folderName(model: CachedModel): string {
  return `${model.repo.replace('/', '--')}@${model.revision}`
}

/** The model that `folderName` made the name of: a hub allows no `--` in names. */
export function modelOfFolder(name: string): CachedModel {
  const at = name.lastIndexOf('@')
  const [repo, revision] = at < 0 ? [name, ''] : [name.slice(0, at), name.slice(at + 1)]
  return { repo: repo.replace('--', '/'), revision }
}
