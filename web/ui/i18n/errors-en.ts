/**
 * Every error code in words: what happened, what is being done (where something is), what you can do. The error's own
 * message, with its numbers, stands below in the details.
 */
import type { ErrorCode } from '../../../swarm/errors.ts'

export interface ErrorText {
  what: string
  doing?: string
  /** Left out where the error's own action is better. */
  action?: string
}

export const errorsEn: Record<ErrorCode, ErrorText> = {
  NO_WEBGPU: {
    what: 'This browser has no WebGPU.',
    action: 'Use a current Chrome, Edge, Firefox or Safari. Chatting works without it.',
  },
  NO_ADAPTER: {
    what: 'WebGPU is there, but no graphics adapter answered.',
    action: 'Turn on graphics acceleration in the browser’s settings and restart it.',
  },
  ADAPTER_TOO_SMALL: {
    what: 'The graphics adapter is too small for these blocks.',
    action: 'Choose fewer blocks, or a smaller model.',
  },
  GPU_LOST: {
    what: 'The graphics adapter, or the thread that computes in its place, stopped.',
    doing: 'The swarm goes on with other tabs.',
    action: 'Reload the page and start again; if it goes on, restart the browser.',
  },
  WRONG_RESULTS: {
    what: 'This device computes wrongly: a test block with a known answer gave another one. Nothing is served from it.',
    action: 'Update the graphics driver or the browser, or compute without the graphics adapter (?backend=wasm).',
  },
  OUT_OF_MEMORY: { what: 'There is not enough memory.', action: 'Choose fewer blocks, or close other tabs.' },
  INSECURE_CONTEXT: {
    what: 'The page was not opened securely, so the browser withholds what it needs.',
    action: 'Open it by https, or as http://localhost on the machine that runs it.',
  },
  STORAGE_FULL: {
    what: 'The browser’s storage is full.',
    action: 'Free some disk space, or delete site data you no longer need.',
  },
  NO_BROWSER: { what: 'No browser was found.', action: 'Install Chrome or Chromium.' },
  PORT_TAKEN: { what: 'The port is taken by another program.', action: 'Choose another port.' },
  NODE_TOO_OLD: { what: 'Node is too old.', action: 'Install Node 20.19 or newer.' },
  SLOT_TAKEN: { what: 'This profile slot is used by another process.', action: 'Choose another slot.' },
  IDENTITY_TAKEN: {
    what: 'Another tab of this browser is donating already.',
    action: 'Go to that tab, or close it and try again. To donate a second tab, open it with ?donate&tab=1.',
  },
  CHAT_TAKEN: {
    what: 'Another tab is writing in this chat.',
    action: 'Wait for its answer, or start a new chat here.',
  },
  PAGE_INCOMPLETE: {
    what: 'A part of this page could not be loaded from its server.',
    action: 'Check the connection, then reload the page: your chats are kept.',
  },
  BAD_OPTION: { what: 'A setting in the link or on this page does not fit.', action: 'Correct it and try again.' },
  BAD_MULTIADDR: {
    what: 'A relay’s address in the link is not a valid multiaddress.',
    action: 'Ask for the link again, or correct the address.',
  },
  EMPTY_PROMPT: { what: 'There is nothing to send.', action: 'Write a message first.' },
  PROMPT_TOO_LONG: {
    what: 'The message is longer than the model can read.',
    action: 'Shorten it, or choose a model with a longer context.',
  },
  NO_TOKENIZER: { what: 'This model has no tokenizer.', action: 'Write token ids such as 1, 2, 3.' },
  BAD_TOKEN_ID: {
    what: 'These are not token ids of this model.',
    action: 'Write whole numbers within its vocabulary, separated by commas.',
  },
  UNKNOWN_MODEL: { what: 'This model is not known here.', action: 'Check its name, or choose one from the list.' },
  UNSUPPORTED_MODEL: {
    what: 'Tabswarm cannot run this kind of model.',
    action: 'Choose a model of the Llama architecture in safetensors.',
  },
  BAD_CONFIG: { what: 'The model’s config.json is not right.', action: 'Choose another model or revision.' },
  BAD_SAFETENSORS: {
    what: 'The model’s weight files are not right, so nothing was loaded.',
    action: 'Choose another model or revision.',
  },
  BAD_TOKENIZER: { what: 'The model’s tokenizer cannot be used.', action: 'Choose another model or revision.' },
  BAD_TEMPLATE: { what: 'The model’s chat template failed.', action: 'Choose another model or revision.' },
  HUB_UNREACHABLE: { what: 'The model hub cannot be reached.', action: 'Check the connection, then try again.' },
  HUB_UNAUTHORIZED: {
    what: 'The hub wants you to sign in for this model.',
    action: 'Paste a Hugging Face token.',
  },
  HUB_GATED: {
    what: 'This model is gated: its owner must give you access.',
    action: 'Accept its licence on the hub, then paste your token.',
  },
  HUB_NOT_FOUND: { what: 'The hub has no such model, revision or file.', action: 'Check the name and the revision.' },
  HUB_RATE_LIMITED: {
    what: 'The hub asks us to slow down.',
    doing: 'It is asked again after the pause it named.',
    action: 'Wait a little, or use a token.',
  },
  HUB_ERROR: { what: 'The hub had an error of its own.', action: 'Try again in a while.' },
  HUB_BAD_RANGE: {
    what: 'The hub sent other bytes than were asked for, so nothing of it was used.',
    action: 'Try again; if it stays so, use another hub or mirror.',
  },
  HUB_CUT: { what: 'The download broke off.', action: 'Try again: it goes on where it broke off.' },
  HUB_CHANGED: {
    what: 'The model’s files changed while they were read, so nothing was mixed.',
    action: 'Start again with the new revision.',
  },
  NO_RELAY: {
    what: 'No relay of the swarm can be reached.',
    doing: 'It is tried again every second.',
    action: 'Check the connection, or whether the relay runs.',
  },
  RELAY_REFUSED: { what: 'The relay refused this tab.', action: 'Wait a little, then try again.' },
  NO_ROUTE: {
    what: 'No tabs cover all blocks of the model now.',
    doing: 'The page waits for them.',
    action: 'Donate a tab, or choose another model.',
  },
  PEER_LOST: {
    what: 'A tab that was computing went away.',
    doing: 'Another way is looked for.',
    action: 'Retry if nothing happens.',
  },
  PEER_TIMEOUT: {
    what: 'A tab stopped answering.',
    doing: 'Another way is looked for.',
    action: 'Retry if nothing happens.',
  },
  PEER_REFUSED: { what: 'A tab did not take the work.', action: 'Try again in a moment.' },
  DIAL_FAILED: {
    what: 'A tab could not be connected to.',
    action: 'Try again; a firewall between the two may be in the way.',
  },
  BAD_FRAME: { what: 'Something unexpected came back.', action: 'Try again; reload the page if it stays so.' },
  BAD_RECORD: { what: 'A tab announced itself wrongly, and was left out.' },
  WRONG_VERSION: { what: 'This page and the swarm are of different versions.', action: 'Reload the page.' },
  WRONG_MODEL: { what: 'A tab serves another revision of this model.', action: 'Try again, or choose the model anew.' },
  WRONG_PEER: { what: 'A tab was addressed that does not belong to this route.', action: 'Try again.' },
  WRONG_POSITION: { what: 'A tab lost its place in the text.', action: 'Retry the answer.' },
  NOT_FINITE: {
    what: 'A tab computed something that is not a number, so the answer was stopped.',
    action: 'Retry: another route may be taken.',
  },
  CACHE_FULL: {
    what: 'The tabs have no cache left for another conversation.',
    action: 'Wait for others to finish, or donate a tab.',
  },
  BUSY: { what: 'Everything is in use right now.', action: 'Try again in a moment.' },
  NO_SESSION: { what: 'A tab no longer knew this conversation.', action: 'Retry the answer.' },
  CONTEXT_FULL: {
    what: 'The conversation fills the model’s whole context.',
    action: 'Start a new chat, or shorten the message.',
  },
  CANCELLED: { what: 'It was stopped.' },
}
