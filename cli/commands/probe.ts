/** `tabswarm probe ADDRESS`: what works between here and a relay, each check with a sentence, and what to do where it does not. */
import { parseInitialPeers } from '../../net/multiaddr.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { caOption } from '../options/shared.ts'
import { flag } from '../options/schema.ts'
import { formatCheck } from '../probe/check.ts'
import { probeRelay } from '../probe/probe-relay.ts'
import { command } from './command.ts'

const options = {
  ...caOption,
  json: flag('one JSON object in place of the lines', { group: 'Output' }),
}

export const probeCommand = command<typeof options>({
  text: {
    name: 'probe',
    summary: 'checks a relay from here: page, certificate, WebSocket, addresses, STUN, and a dial through it.',
    words: 'ADDRESS',
    examples: [
      'tabswarm probe /ip4/203.0.113.7/tcp/8080/ws/p2p/12D3KooW…',
      'tabswarm probe --ca ca.pem /dns4/relay.example/tcp/8443/tls/ws/p2p/12D3KooW…',
    ],
  },
  options,
  linesTo: () => 'stdout',
  async run({ values, words }, { lifecycle }, output) {
    const addresses = parseInitialPeers(words.join(','))
    const [address] = addresses
    if (address === undefined || addresses.length > 1) {
      throw new SwarmError('BAD_OPTION', 'probe takes the address of one relay', {
        action: 'Copy the one that the relay prints: tabswarm probe /ip4/…/tcp/…/ws/p2p/…',
      })
    }
    const results = await probeRelay({
      address,
      signal: lifecycle.signal,
      onResult: (result) => {
        if (!values.json) output.line(formatCheck(result))
      },
    })
    const isWell = results.every(({ outcome }) => outcome !== 'fail')
    if (values.json) output.line(JSON.stringify({ address, ok: isWell, checks: results }, null, 2))
    return isWell ? 0 : 1
  },
})
