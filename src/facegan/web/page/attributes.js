// CelebA's 40 attributes in groups, as people think of them. "Attractive" says more about who labelled than about faces,
// and is left out.

export const GROUPS = {
  hair: ["Black_Hair", "Brown_Hair", "Blond_Hair", "Gray_Hair", "Straight_Hair", "Wavy_Hair", "Bangs", "Receding_Hairline", "Bald"],
  beard: ["No_Beard", "5_o_Clock_Shadow", "Mustache", "Goatee", "Sideburns"],
  expression: ["Smiling", "Mouth_Slightly_Open"],
  age: [
    "Young", "Male", "Oval_Face", "High_Cheekbones", "Chubby", "Double_Chin", "Pale_Skin", "Rosy_Cheeks", "Big_Nose", "Pointy_Nose",
    "Big_Lips", "Arched_Eyebrows", "Bushy_Eyebrows", "Bags_Under_Eyes", "Narrow_Eyes",
  ],
  things: ["Eyeglasses", "Wearing_Hat", "Wearing_Earrings", "Wearing_Necklace", "Wearing_Necktie"],
  makeup: ["Heavy_Makeup", "Wearing_Lipstick"],
  picture: ["Blurry"],
};

const CHINESE = {
  Black_Hair: "黑发", Brown_Hair: "棕发", Blond_Hair: "金发", Gray_Hair: "白发", Straight_Hair: "直发", Wavy_Hair: "卷发",
  Bangs: "刘海", Receding_Hairline: "发际线后移", Bald: "秃头", No_Beard: "无胡须", "5_o_Clock_Shadow": "胡茬", Mustache: "八字胡",
  Goatee: "山羊胡", Sideburns: "鬓角", Smiling: "微笑", Mouth_Slightly_Open: "微张嘴", Young: "年轻", Male: "男性",
  Oval_Face: "鹅蛋脸", High_Cheekbones: "高颧骨", Chubby: "圆胖", Double_Chin: "双下巴", Pale_Skin: "白皙", Rosy_Cheeks: "红润脸颊",
  Big_Nose: "大鼻子", Pointy_Nose: "尖鼻子", Big_Lips: "厚嘴唇", Arched_Eyebrows: "弯眉", Bushy_Eyebrows: "浓眉",
  Bags_Under_Eyes: "眼袋", Narrow_Eyes: "细长眼", Eyeglasses: "眼镜", Wearing_Hat: "帽子", Wearing_Earrings: "耳环",
  Wearing_Necklace: "项链", Wearing_Necktie: "领带", Heavy_Makeup: "浓妆", Wearing_Lipstick: "口红", Blurry: "模糊",
};

/** An attribute's name for people. */
export function attributeName(name, language) {
  if (language === "zh") return CHINESE[name] ?? name;
  return name.replace(/^Wearing_/, "").replace(/_/g, " ").replace("5 o Clock", "Five o'clock").replace(/ \w/g, (end) => end.toLowerCase());
}
