/** 브라우저에 남겨 둔 모델 파일에 대한 한국어 문장. */
import type { keptEn } from './kept-en.ts'
import type { Widen } from './widen.ts'

export const keptKo: Widen<typeof keptEn> = {
  title: '이 브라우저에 보관 중',
  titleTotal: (bytes) => `이 브라우저에 보관 중: ${bytes}`,
  nothing: '아직 보관된 가중치가 없습니다. 탭이 내려받은 것은 여기에 남아, 다음에는 다시 내려받지 않아도 됩니다.',
  none: '이 브라우저는 이 페이지의 파일을 보관하지 않습니다. 올 때마다 가중치를 다시 내려받습니다.',
  room: (used, quota) => `브라우저가 허용하는 ${quota} 가운데 이 페이지가 ${used}를 쓰고 있습니다.`,
  fates: {
    kept: '여기서 지우거나 사이트 데이터를 지우기 전까지 브라우저가 이 파일을 보관합니다.',
    'may-go': '공간이 부족해지면 브라우저가 이 파일을 지울 수 있습니다. 그러면 다음에 시작할 때 다시 내려받습니다.',
    unknown: '브라우저가 이 파일을 계속 보관하는지 알려 주지 않습니다.',
  },
  inUse: '탭에서 사용 중',
  inUseHelp: '탭이 불러오거나 제공하는 것은 지울 수 없습니다. 먼저 그 탭에서 기부를 중지하거나 탭을 닫으세요.',
  delete: (model) => `${model} 삭제`,
  deleteTitle: '보관된 가중치 삭제',
  deleteAsk: (model, bytes) => `${model} 모델의 ${bytes}를 삭제할까요? 여기서 다시 기부하려면 다시 내려받아야 합니다.`,
  deleted: (model, bytes) => `${model} 모델을 삭제했습니다. ${bytes}가 비었습니다.`,
  deleteRefused: (model) =>
    `${model} 모델을 삭제하지 않았습니다. 이 브라우저의 다른 탭이 쓰기 시작했습니다. 그 탭에서 기부를 중지하거나 탭을 닫은 뒤 삭제하세요.`,
  deletePartly: (model, freed, left, reason) =>
    `${model} 모델을 다 지우지 못했습니다. ${freed}는 지웠고 ${left}는 브라우저가 거부해 남았습니다(${reason}). 남은 것은 그대로 쓸 수 있습니다. 이 페이지의 다른 탭을 닫고 다시 삭제하세요.`,
}
