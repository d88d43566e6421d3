/** Entry of the Worker in which a model's tokenizer patterns and chat template run; it is ended when they take too long. */
import type { TextCallMessage } from '../../session/model/text-sandbox.ts'
import { createTextHandler } from '../../session/model/text-worker.ts'

const handle = createTextHandler()

addEventListener('message', (event: MessageEvent<TextCallMessage>) => {
  postMessage(handle(event.data))
})
