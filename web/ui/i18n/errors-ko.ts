/** 오류 코드별 문장: 무슨 일이 있었고, 지금 무엇을 하고 있으며, 무엇을 할 수 있는지. */
import type { ErrorCode } from '../../../swarm/errors.ts'
import type { ErrorText } from './errors-en.ts'

export const errorsKo: Record<ErrorCode, ErrorText> = {
  NO_WEBGPU: {
    what: '이 브라우저에는 WebGPU가 없습니다.',
    action: '최신 Chrome, Edge, Firefox, Safari를 사용하세요. 대화는 WebGPU 없이도 됩니다.',
  },
  NO_ADAPTER: {
    what: 'WebGPU는 있지만 응답하는 그래픽 어댑터가 없습니다.',
    action: '브라우저 설정에서 그래픽 가속을 켜고 다시 시작하세요.',
  },
  ADAPTER_TOO_SMALL: {
    what: '그래픽 어댑터가 이 블록들을 맡기에 작습니다.',
    action: '블록 수를 줄이거나 더 작은 모델을 고르세요.',
  },
  GPU_LOST: {
    what: '계산을 맡은 그래픽 어댑터나 스레드가 멈췄습니다.',
    doing: '스웜은 다른 탭으로 계속됩니다.',
    action: '페이지를 새로 고치고 다시 시작하세요. 되풀이되면 브라우저를 다시 시작하세요.',
  },
  WRONG_RESULTS: {
    what: '이 장치의 계산 결과가 틀립니다. 정답이 정해진 시험 블록에서 다른 값이 나왔습니다. 이 탭은 블록을 제공하지 않습니다.',
    action: '그래픽 드라이버나 브라우저를 업데이트하거나, 그래픽 어댑터 없이 계산하세요(?backend=wasm).',
  },
  OUT_OF_MEMORY: { what: '메모리가 부족합니다.', action: '블록 수를 줄이거나 다른 탭을 닫으세요.' },
  INSECURE_CONTEXT: {
    what: '페이지를 안전하게 열지 않아 브라우저가 필요한 기능을 막았습니다.',
    action: 'https로 열거나, 실행 중인 컴퓨터에서 http://localhost 로 여세요.',
  },
  STORAGE_FULL: {
    what: '브라우저 저장 공간이 가득 찼습니다.',
    action: '디스크 공간을 비우거나 필요 없는 사이트 데이터를 지우세요.',
  },
  NO_BROWSER: { what: '브라우저를 찾지 못했습니다.', action: 'Chrome이나 Chromium을 설치하세요.' },
  PORT_TAKEN: { what: '다른 프로그램이 이 포트를 쓰고 있습니다.', action: '다른 포트를 고르세요.' },
  NODE_TOO_OLD: { what: 'Node 버전이 너무 낮습니다.', action: 'Node 20.19 이상을 설치하세요.' },
  SLOT_TAKEN: { what: '다른 프로세스가 이 프로필 자리를 쓰고 있습니다.', action: '다른 자리를 고르세요.' },
  IDENTITY_TAKEN: {
    what: '이 브라우저의 다른 탭이 이미 기부하고 있습니다.',
    action: '그 탭에서 확인하거나, 그 탭을 닫고 다시 시도하세요. 탭 하나를 더 기부하려면 ?donate&tab=1 로 여세요.',
  },
  CHAT_TAKEN: {
    what: '다른 탭에서 이 대화를 쓰고 있습니다.',
    action: '그 탭의 답이 끝난 뒤 다시 시도하거나 새 대화를 시작하세요.',
  },
  PAGE_INCOMPLETE: {
    what: '페이지의 일부를 서버에서 불러오지 못했습니다.',
    action: '연결을 확인하고 페이지를 새로 고치세요. 대화는 그대로 남아 있습니다.',
  },
  BAD_OPTION: { what: '링크나 이 페이지의 설정이 맞지 않습니다.', action: '고친 뒤 다시 시도하세요.' },
  BAD_MULTIADDR: {
    what: '링크에 있는 릴레이 주소가 올바른 multiaddr가 아닙니다.',
    action: '링크를 다시 받거나 주소를 고치세요.',
  },
  EMPTY_PROMPT: { what: '보낼 내용이 없습니다.', action: '먼저 메시지를 쓰세요.' },
  PROMPT_TOO_LONG: {
    what: '메시지가 모델이 읽을 수 있는 길이를 넘습니다.',
    action: '줄이거나 문맥이 더 긴 모델을 고르세요.',
  },
  NO_TOKENIZER: { what: '이 모델에는 토크나이저가 없습니다.', action: '1, 2, 3처럼 토큰 번호를 쓰세요.' },
  BAD_TOKEN_ID: { what: '이 모델의 토큰 번호가 아닙니다.', action: '어휘 범위 안의 정수를 쉼표로 나누어 쓰세요.' },
  UNKNOWN_MODEL: { what: '여기서는 모르는 모델입니다.', action: '이름을 확인하거나 목록에서 고르세요.' },
  UNSUPPORTED_MODEL: {
    what: 'Tabswarm이 실행할 수 없는 종류의 모델입니다.',
    action: 'safetensors 형식의 Llama 구조 모델을 고르세요.',
  },
  BAD_CONFIG: { what: '모델의 config.json이 올바르지 않습니다.', action: '다른 모델이나 리비전을 고르세요.' },
  BAD_SAFETENSORS: {
    what: '모델의 가중치 파일이 올바르지 않아 아무것도 불러오지 않았습니다.',
    action: '다른 모델이나 리비전을 고르세요.',
  },
  BAD_TOKENIZER: { what: '모델의 토크나이저를 쓸 수 없습니다.', action: '다른 모델이나 리비전을 고르세요.' },
  BAD_TEMPLATE: { what: '모델의 대화 템플릿이 실패했습니다.', action: '다른 모델이나 리비전을 고르세요.' },
  HUB_UNREACHABLE: { what: '모델 허브에 연결할 수 없습니다.', action: '연결을 확인한 뒤 다시 시도하세요.' },
  HUB_UNAUTHORIZED: {
    what: '이 모델을 읽으려면 허브에 로그인해야 합니다.',
    action: 'Hugging Face 토큰을 붙여 넣으세요.',
  },
  HUB_GATED: {
    what: '접근이 제한된 모델입니다. 소유자의 허락이 필요합니다.',
    action: '허브에서 라이선스에 동의한 뒤 토큰을 붙여 넣으세요.',
  },
  HUB_NOT_FOUND: { what: '허브에 그런 모델이나 리비전, 파일이 없습니다.', action: '이름과 리비전을 확인하세요.' },
  HUB_RATE_LIMITED: {
    what: '허브가 요청을 줄여 달라고 합니다.',
    doing: '허브가 알려 준 시간 뒤에 다시 요청합니다.',
    action: '잠시 기다리거나 토큰을 쓰세요.',
  },
  HUB_ERROR: { what: '허브 쪽에서 오류가 났습니다.', action: '잠시 뒤에 다시 시도하세요.' },
  HUB_BAD_RANGE: {
    what: '허브가 요청과 다른 바이트를 보내서 쓰지 않았습니다.',
    action: '다시 시도하고, 계속되면 다른 허브나 미러를 쓰세요.',
  },
  HUB_CUT: { what: '내려받기가 끊겼습니다.', action: '다시 시도하면 끊긴 곳부터 이어집니다.' },
  HUB_CHANGED: { what: '읽는 동안 모델 파일이 바뀌어 섞지 않고 멈췄습니다.', action: '새 리비전으로 다시 시작하세요.' },
  NO_RELAY: {
    what: '스웜의 릴레이에 연결할 수 없습니다.',
    doing: '1초마다 다시 시도합니다.',
    action: '연결이나 릴레이 실행 여부를 확인하세요.',
  },
  RELAY_REFUSED: { what: '릴레이가 이 탭을 거절했습니다.', action: '잠시 뒤에 다시 시도하세요.' },
  NO_ROUTE: {
    what: '지금은 모델의 모든 블록을 제공하는 탭들이 없습니다.',
    doing: '페이지가 기다리고 있습니다.',
    action: '탭을 기부하거나 다른 모델을 고르세요.',
  },
  PEER_LOST: {
    what: '계산하던 탭이 사라졌습니다.',
    doing: '다른 길을 찾습니다.',
    action: '그대로면 다시 쓰기를 누르세요.',
  },
  PEER_TIMEOUT: {
    what: '탭 하나가 응답을 멈췄습니다.',
    doing: '다른 길을 찾습니다.',
    action: '그대로면 다시 쓰기를 누르세요.',
  },
  PEER_REFUSED: { what: '탭이 일을 맡지 않았습니다.', action: '잠시 뒤에 다시 시도하세요.' },
  DIAL_FAILED: { what: '탭에 연결하지 못했습니다.', action: '다시 시도하세요. 사이에 방화벽이 있을 수 있습니다.' },
  BAD_FRAME: { what: '예상하지 못한 것이 돌아왔습니다.', action: '다시 시도하고, 계속되면 페이지를 새로 고치세요.' },
  BAD_RECORD: { what: '탭 하나가 자신을 잘못 알려서 제외했습니다.' },
  WRONG_VERSION: { what: '이 페이지와 스웜의 버전이 다릅니다.', action: '페이지를 새로 고치세요.' },
  WRONG_MODEL: { what: '탭이 이 모델의 다른 리비전을 제공합니다.', action: '다시 시도하거나 모델을 다시 고르세요.' },
  WRONG_PEER: { what: '이 경로에 속하지 않는 탭이 불렸습니다.', action: '다시 시도하세요.' },
  WRONG_POSITION: { what: '탭이 글의 위치를 놓쳤습니다.', action: '답을 다시 쓰게 하세요.' },
  NOT_FINITE: {
    what: '탭이 숫자가 아닌 값을 계산해서 답을 멈췄습니다.',
    action: '다시 쓰면 다른 경로로 갈 수 있습니다.',
  },
  CACHE_FULL: {
    what: '탭들에 대화를 하나 더 맡을 캐시가 없습니다.',
    action: '다른 사람이 끝나기를 기다리거나 탭을 기부하세요.',
  },
  BUSY: { what: '지금은 모두 사용 중입니다.', action: '잠시 뒤에 다시 시도하세요.' },
  NO_SESSION: { what: '탭이 이 대화를 더는 모릅니다.', action: '답을 다시 쓰게 하세요.' },
  CONTEXT_FULL: { what: '대화가 모델의 문맥을 가득 채웠습니다.', action: '새 대화를 시작하거나 메시지를 줄이세요.' },
  CANCELLED: { what: '중지했습니다.' },
}
