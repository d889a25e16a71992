// Every word of the page, in English and Chinese.

export const LANGUAGES = { en: "English", zh: "中文" };

const ENGLISH = {
  made: "None of these people exists: a neural network made every face.",
  loading: "Unpacking the model …", failed: "The model did not open: ",
  wall: "Faces", morph: "Morph", mix: "Mix", settings: "Settings",
  seed: "Seed", seedHelp: "Each seed is another endless series of faces.", another: "Another seed", badSeed: "A seed is a whole number from 0 to 9223372036854775807.",
  count: "Faces on a page", back: "Previous faces", on: "Next faces",
  truncation: "Truncation", truncationHelp: "1: as varied as in training. Lower: more typical, less varied. 0: alike where the attributes are.",
  prior: "Draw the other attributes as in training", priorHelp: "Off: the network is told nothing of them.",
  attributes: "Attributes", any: "any", yes: "yes", no: "no", clear: "Clear all", noAttributes: "This model was trained without attributes.",
  hair: "Hair", beard: "Beard", expression: "Expression", age: "Age and face", things: "Glasses, hats and more", makeup: "Make-up", picture: "Picture",
  face: "Face", ofSeed: "of seed", open: "Open", close: "Close", change: "Change this face", reset: "Undo changes",
  changeHelp: "1 is a standard deviation among this model's faces.", changeLabels: "-1 is absent, 1 present, 2 louder.",
  keep: "Keep", kept: "Kept faces", keptHelp: "Keep faces with K or the star, or drop saved faces (.safetensors) here.", forget: "Remove",
  save: "Save the face", png: "Save as PNG", sheet: "Save the page as PNG", load: "Open a saved face", command: "Copy the command",
  copied: "Copied.", notCopied: "Your browser did not let the page copy: mark the text and copy it.", saved: "Saved: ", commandTitle: "These commands make the same:", saveFirst: "save it beforehand, as",
  notAFace: "That file is not a face saved by facegan.", otherModel: "That face was made by another model. Open it with the page of that model.",
  first: "First face", second: "Second face", coarse: "Shape and pose", fine: "Colours and detail", choose: "Click a place, then one of the kept faces below; or drag a face here. The star on a face keeps it.",
  share: "Share of the second", play: "Play", stop: "Stop", layer: "Layers of the first", noStyles: "This model has no styles, so that its faces cannot be mixed.",
  theme: "Colours", auto: "as the system", light: "light", dark: "dark", language: "Language", model: "Model", 
  keysHelp: "Arrows: move between faces · Enter: open · K: keep · N: another seed · Page up and down: more faces · Escape: close",
  about: "images seen in training", score: "D's score", scoreHelp: "How real the discriminator thinks the face is, from 0 to 1.", empty: "Nothing kept yet.", 
  changedFace: "changed", useAs: "Use as",
};

const CHINESE_TEXTS = {
  made: "这些人都不存在：每张脸都由神经网络生成。",
  loading: "正在展开模型……", failed: "模型无法打开：",
  wall: "人脸", morph: "渐变", mix: "混合", settings: "设置",
  seed: "种子", seedHelp: "每个种子对应另一组无穷无尽的人脸。", another: "换一个种子", badSeed: "种子是 0 到 9223372036854775807 的整数。",
  count: "每页张数", back: "上一页", on: "下一页",
  truncation: "截断", truncationHelp: "1：与训练时一样多样。越小越典型、越少变化。0：属性相同的人脸都一样。",
  prior: "其余属性按训练分布抽取", priorHelp: "关闭：不告诉网络其余属性。",
  attributes: "属性", any: "任意", yes: "有", no: "无", clear: "全部清除", noAttributes: "这个模型训练时没有使用属性。",
  hair: "头发", beard: "胡须", expression: "表情", age: "年龄与脸型", things: "眼镜、帽子等", makeup: "妆容", picture: "画面",
  face: "人脸", ofSeed: "种子", open: "打开", close: "关闭", change: "修改这张脸", reset: "撤销修改",
  changeHelp: "1 是该模型人脸中的一个标准差。", changeLabels: "-1 表示没有，1 表示有，2 更强。",
  keep: "保留", kept: "保留的人脸", keptHelp: "按 K 或点星号保留人脸，也可以把保存的人脸文件（.safetensors）拖到这里。", forget: "移除",
  save: "保存人脸文件", png: "保存为 PNG", sheet: "整页保存为 PNG", load: "打开人脸文件", command: "复制命令",
  copied: "已复制。", notCopied: "浏览器不允许复制，请选中文字自行复制。", saved: "已保存：", commandTitle: "用这些命令可以得到同样的结果：", saveFirst: "请先保存为",
  notAFace: "这个文件不是 facegan 保存的人脸。", otherModel: "这张脸来自另一个模型，请用那个模型的页面打开。",
  first: "第一张脸", second: "第二张脸", coarse: "形状与姿态", fine: "颜色与细节", choose: "先点一个位置，再点下面保留的人脸；或把人脸拖过来。点人脸上的星号可保留它。",
  share: "第二张所占比例", play: "播放", stop: "停止", layer: "第一张的层数", noStyles: "这个模型没有风格向量，人脸不能混合。",
  theme: "配色", auto: "跟随系统", light: "浅色", dark: "深色", language: "语言", model: "模型", 
  keysHelp: "方向键：移动 · 回车：打开 · K：保留 · N：换种子 · 上下翻页键：更多人脸 · Esc：关闭",
  about: "张训练图像", score: "判别器评分", scoreHelp: "判别器认为这张脸有多真实，0 到 1。", empty: "还没有保留人脸。", 
  changedFace: "已修改", useAs: "用作"
};

const TEXTS = { en: { ...ENGLISH }, zh: { ...CHINESE_TEXTS } };

/** Add the words of a part of the page that not every page has: {en: {...}, zh: {...}}. */
export function addTexts(more) {
  for (const [language, words] of Object.entries(more)) Object.assign(TEXTS[language], words);
}

/** The words of a language. */
export function textsOf(language) {
  return TEXTS[language];
}

/** Names of words that some language lacks, for the tests. */
export function missingTexts() {
  const names = new Set(Object.values(TEXTS).flatMap(Object.keys));
  return [...names].filter((name) => Object.values(TEXTS).some((words) => !words[name]));
}
