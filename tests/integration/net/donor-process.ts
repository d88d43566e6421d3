/** A serving peer in a process of its own, so that it can be killed, stopped and resumed. Prints its peer id when listed. */
import { startDonor, until } from './support.ts'

const [relays = '', start = '0', end = '3', directory = 'on'] = process.argv.slice(2)
const donor = await startDonor(
  relays.split(','),
  { start: Number(start), end: Number(end) },
  { directory: directory === 'off' ? 'off' : 'on' },
)
await until('reserved', () => (donor.node.directory.get(donor.node.peerId)?.relays.length ?? 0) > 0)
process.stdout.write(`${donor.node.peerId}\n`)
process.on('SIGTERM', () => {
  donor.node
    .stop()
    .then(() => process.stdout.write('stopped\n'))
    .catch((error: unknown) => process.stderr.write(`${String(error)}\n`))
})
