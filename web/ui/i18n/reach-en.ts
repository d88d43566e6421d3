/** English texts on how other tabs come to this one. */
export const reachEn = {
  title: 'How other tabs reach this one',
  probing: 'Looking how other tabs reach this one…',
  again: 'Look again',
  look: 'Look',
  verdicts: {
    direct: 'Direct.',
    relayed: 'Through the relay.',
    unreachable: 'Unreachable.',
  },
  whys: {
    public: 'Other tabs can connect to this one directly, as far as can be told from here.',
    here: 'Tabs on this machine and its network connect directly. The relay offers no STUN, so nobody can tell how it is from elsewhere; tabs behind other routers may come through the relay.',
    'no-public-address':
      'Tabs of this network connect directly, but STUN told no address that others see, so tabs elsewhere come through the relay: slower, and it carries their data. Allow UDP to the internet in the firewall, or try another network.',
    'no-udp':
      'This browser may not use UDP here (its settings, an extension, or the network forbid it), so no direct connection comes about. It serves all the same, slower, and the relay carries the data. Allow UDP, or try another network or browser.',
    'no-direct':
      'No direct connection came about, although addresses are there: a firewall or router stands in the way. It serves all the same, slower, and the relay carries the data. Allow UDP between tabs, or try another network.',
    'no-relay':
      'No relay answers, so new tabs cannot find this one. It is tried again by itself. Check the connection, and whether the relay runs.',
    refused: 'The relay does not take this tab. It is tried again by itself; the relay’s reason stands below.',
    'no-place':
      'The relay is there, but holds no place for this tab: it may be full. It is tried again by itself; the relay’s operator can raise --max-reservations.',
    'no-way':
      'The relay holds a place for this tab, but a second peer could not come to it, neither directly nor through the relay. Look again in a minute; if it stays so, reload this page.',
  },
  steps: 'Each step',
  stepRelay: 'Place at a relay',
  stepAddresses: 'Addresses',
  stepDial: 'A second peer comes to this one',
  relay: {
    reserved: (address: string) => `held at ${address}`,
    unreserved: (address: string) => `none at ${address}, which is connected`,
    refused: (reason: string) => `refused: ${reason}`,
    none: (reason: string) => `no relay is connected${reason === '' ? '' : ` (${reason})`}`,
  },
  addresses: {
    public: 'STUN answered with an address that others see',
    local: 'only those of this machine and its network: STUN told no other',
    localUnasked: 'only those of this machine and its network; no STUN is offered that could tell others',
    none: 'none at all: the browser offers no UDP',
  },
  dial: {
    direct: 'directly (WebRTC)',
    relayed: 'through the relay only',
    failed: (reason: string) => `not at all (${reason})`,
    skipped: 'not tried: nobody could introduce it',
  },
  waiting: '…',
}
