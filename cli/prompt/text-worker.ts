/** Entry of the worker thread that runs the tokenizer's patterns and the chat template; see `session/model/text-worker.ts`. */
import { parentPort } from 'node:worker_threads'
import { createTextHandler } from '../../session/model/text-worker.ts'
import type { TextCallMessage } from '../../session/model/text-sandbox.ts'

const handle = createTextHandler()
parentPort?.on('message', (message: TextCallMessage) => parentPort?.postMessage(handle(message)))
