/** What a model needs before its first question, which all comes together: one request, where each part alone would be one. */
export { loadPromptFiles } from '../../hub/prompt-files.ts'
export { createPromptModel } from '../../session/model/load.ts'
export { PrefixNamer } from '../../session/prefix-names.ts'
export { createBrowserTextSandbox } from './text-sandbox.ts'
