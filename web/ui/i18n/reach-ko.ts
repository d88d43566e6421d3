/** 다른 탭이 이 탭에 어떻게 연결되는지에 대한 한국어 문장. */
import type { reachEn } from './reach-en.ts'
import type { Widen } from './widen.ts'

export const reachKo: Widen<typeof reachEn> = {
  title: '다른 탭이 이 탭에 연결되는 방법',
  probing: '다른 탭이 이 탭에 어떻게 연결되는지 알아보는 중…',
  again: '다시 알아보기',
  look: '알아보기',
  verdicts: {
    direct: '직접 연결됩니다.',
    relayed: '릴레이를 거쳐 연결됩니다.',
    unreachable: '연결할 수 없습니다.',
  },
  whys: {
    public: '여기서 알 수 있는 한, 다른 탭이 이 탭에 직접 연결할 수 있습니다.',
    here: '이 기기와 같은 네트워크의 탭은 직접 연결됩니다. 릴레이가 STUN을 제공하지 않아 밖에서는 어떤지 알 수 없으며, 다른 공유기 뒤의 탭은 릴레이를 거칠 수 있습니다.',
    'no-public-address':
      '같은 네트워크의 탭은 직접 연결되지만, STUN으로 밖에서 보이는 주소를 알 수 없어 다른 곳의 탭은 릴레이를 거칩니다. 그만큼 느리고 릴레이가 데이터를 나릅니다. 방화벽에서 인터넷으로 나가는 UDP를 허용하거나 다른 네트워크를 써 보세요.',
    'no-udp':
      '이 브라우저는 여기서 UDP를 쓸 수 없어(설정, 확장 프로그램 또는 네트워크가 막음) 직접 연결이 되지 않습니다. 제공은 되지만 느리고 릴레이가 데이터를 나릅니다. UDP를 허용하거나 다른 네트워크나 브라우저를 써 보세요.',
    'no-direct':
      '주소는 있지만 직접 연결이 되지 않았습니다. 방화벽이나 공유기가 막고 있습니다. 제공은 되지만 느리고 릴레이가 데이터를 나릅니다. 탭 사이의 UDP를 허용하거나 다른 네트워크를 써 보세요.',
    'no-relay':
      '응답하는 릴레이가 없어 새로운 탭이 이 탭을 찾을 수 없습니다. 저절로 다시 시도합니다. 연결 상태와 릴레이가 실행 중인지 확인하세요.',
    refused: '릴레이가 이 탭을 받지 않습니다. 저절로 다시 시도하며, 릴레이가 밝힌 이유는 아래에 있습니다.',
    'no-place':
      '릴레이는 있지만 이 탭의 자리를 내주지 않았습니다. 가득 찼을 수 있습니다. 저절로 다시 시도하며, 릴레이 운영자는 --max-reservations를 늘릴 수 있습니다.',
    'no-way':
      '릴레이에 이 탭의 자리는 있지만, 두 번째 피어가 직접으로도 릴레이로도 연결하지 못했습니다. 잠시 뒤 다시 알아보고, 계속되면 이 페이지를 새로 고치세요.',
  },
  steps: '단계별 결과',
  stepRelay: '릴레이의 자리',
  stepAddresses: '주소',
  stepDial: '두 번째 피어가 이 탭에 연결',
  relay: {
    reserved: (address) => `${address} 에 있음`,
    unreserved: (address) => `연결된 ${address} 에 자리가 없음`,
    refused: (reason) => `거절됨: ${reason}`,
    none: (reason) => `연결된 릴레이 없음${reason === '' ? '' : ` (${reason})`}`,
  },
  addresses: {
    public: 'STUN이 밖에서 보이는 주소를 알려 줌',
    local: '이 기기와 네트워크 안의 주소뿐: STUN으로 다른 주소를 알 수 없음',
    localUnasked: '이 기기와 네트워크 안의 주소뿐: 밖의 주소를 알려 줄 STUN이 제공되지 않음',
    none: '없음: 브라우저가 UDP를 내주지 않음',
  },
  dial: {
    direct: '직접 연결됨 (WebRTC)',
    relayed: '릴레이로만 연결됨',
    failed: (reason) => `연결되지 않음 (${reason})`,
    skipped: '시도하지 않음: 소개해 줄 릴레이가 없음',
  },
  waiting: '…',
}
