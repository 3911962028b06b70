// Pictures of flowers, fish, houses, trees and cars, drawn by the browser: free of anybody's rights, alike within a kind
// and never twice the same. The functions below run in the page, so they stand on their own.

/** Runs in the page: the picture of a kind with a number, as a JPEG in base64. */
function draw([kind, number]) {
  const SIDE = 320;
  let state = (Math.imul(number + 1, 0x9e3779b1) ^ Math.imul(kind.length * 131 + kind.charCodeAt(0), 0x85ebca6b)) >>> 0;
  const lot = (low = 0, high = 1) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return low + (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * (high - low);
  };
  const canvas = document.createElement("canvas");
  canvas.width = SIDE;
  canvas.height = SIDE;
  const c = canvas.getContext("2d");
  const hsl = (hue, saturation, light) => `hsl(${hue} ${saturation}% ${light}%)`;
  const fade = (top, bottom, from = 0, to = SIDE) => {
    const gradient = c.createLinearGradient(0, from, 0, to);
    gradient.addColorStop(0, top);
    gradient.addColorStop(1, bottom);
    c.fillStyle = gradient;
    c.fillRect(0, from, SIDE, to - from);
  };
  const oval = (x, y, wide, high, turn = 0) => {
    c.beginPath();
    c.ellipse(x, y, wide, high, turn, 0, 2 * Math.PI);
    c.fill();
  };
  const outline = (...points) => {
    c.beginPath();
    points.forEach(([x, y]) => c.lineTo(x, y));
    c.closePath();
    c.fill();
  };
  const sky = () => fade(hsl(lot(200, 215), 70, lot(58, 72)), hsl(lot(190, 205), 60, 90));
  const ground = (y) => fade(hsl(lot(85, 120), 40, lot(38, 46)), hsl(lot(85, 120), 45, 26), y);
  const kinds = {
    flower() {
      fade(hsl(lot(95, 140), 35, lot(28, 40)), hsl(lot(95, 140), 40, 16));
      for (let leaf = 0; leaf < 14; leaf += 1) {
        c.fillStyle = hsl(lot(95, 135), 45, lot(20, 40));
        oval(lot(0, SIDE), lot(0, SIDE), lot(40, 80), lot(10, 24), lot(0, 6.3));
      }
      const [x, y, size, hue] = [lot(130, 190), lot(130, 190), lot(70, 105), [335, 45, 285, 10][Math.floor(lot(0, 4))] + lot(-8, 8)];
      const petals = Math.floor(lot(7, 15));
      for (const [reach, light] of [[1, 62], [0.72, 72]]) {
        for (let petal = 0; petal < petals; petal += 1) {
          const turn = ((petal + (reach < 1 ? 0.5 : 0)) / petals) * 2 * Math.PI;
          c.fillStyle = hsl(hue, 80, light + lot(-5, 5));
          oval(x + Math.cos(turn) * size * 0.62 * reach, y + Math.sin(turn) * size * 0.62 * reach, size * 0.55 * reach, (size * 2.4) / petals, turn);
        }
      }
      c.fillStyle = hsl(42, 85, 48);
      oval(x, y, size * 0.28, size * 0.28);
      for (let seed = 0; seed < 60; seed += 1) {
        const [turn, far] = [lot(0, 6.3), Math.sqrt(lot()) * size * 0.25];
        c.fillStyle = hsl(32, 80, lot(24, 42));
        oval(x + Math.cos(turn) * far, y + Math.sin(turn) * far, 2.4, 2.4);
      }
    },
    fish() {
      fade(hsl(lot(185, 205), 70, lot(45, 60)), hsl(lot(205, 225), 70, 22));
      for (let bubble = 0; bubble < 16; bubble += 1) {
        c.fillStyle = `hsl(190 60% 92% / ${lot(0.1, 0.4)})`;
        const size = lot(2, 9);
        oval(lot(0, SIDE), lot(0, SIDE), size, size);
      }
      const [x, y, long, high, hue] = [lot(145, 180), lot(130, 190), lot(80, 105), lot(38, 60), lot(8, 48)];
      c.fillStyle = hsl(hue - 8, 85, 44);
      outline([x + long * 0.8, y], [x + long * 1.45, y - high], [x + long * 1.25, y], [x + long * 1.45, y + high]);
      outline([x - long * 0.3, y - high * 0.7], [x + long * 0.2, y - high * 1.55], [x + long * 0.5, y - high * 0.5]);
      c.fillStyle = hsl(hue, 88, 56);
      oval(x, y, long, high);
      c.save();
      c.clip();
      for (const at of [-0.35, 0.1, 0.5]) {
        c.fillStyle = hsl(hue + 20, 30, 94);
        c.fillRect(x + long * at, y - high, long * 0.14, 2 * high);
      }
      c.restore();
      c.fillStyle = "white";
      oval(x - long * 0.66, y - high * 0.2, 10, 10);
      c.fillStyle = "black";
      oval(x - long * 0.69, y - high * 0.2, 5, 5);
    },
    house() {
      sky();
      ground(240);
      const [x, y, wide, high] = [lot(55, 90), lot(130, 150), lot(150, 185), lot(105, 125)];
      c.fillStyle = hsl(lot(15, 50), lot(20, 55), lot(66, 84));
      c.fillRect(x, y, wide, high);
      c.fillStyle = hsl(lot(0, 22), 55, lot(30, 40));
      c.fillRect(x + wide * 0.74, y - 74, 20, 50);
      outline([x - 18, y], [x + wide / 2, y - lot(62, 88)], [x + wide + 18, y]);
      for (const at of [0.12, 0.66]) {
        c.fillStyle = "#f8f6ef";
        c.fillRect(x + wide * at - 4, y + 22, wide * 0.22 + 8, 44);
        c.fillStyle = hsl(205, 40, lot(48, 66));
        c.fillRect(x + wide * at, y + 26, wide * 0.22, 36);
      }
      c.fillStyle = hsl(lot(0, 360), 45, 34);
      c.fillRect(x + wide * 0.42, y + high - 68, 36, 68);
      c.fillStyle = hsl(48, 90, 60);
      oval(x + wide * 0.42 + 29, y + high - 32, 3, 3);
    },
    tree() {
      sky();
      ground(250);
      const [x, y] = [lot(135, 185), lot(100, 130)];
      c.fillStyle = hsl(28, 40, lot(22, 32));
      outline([x - 13, 278], [x - 9, y], [x + 9, y], [x + 15, 278]);
      const hue = lot(88, 128);
      for (let leaf = 0; leaf < 90; leaf += 1) {
        const [turn, far] = [lot(0, 6.3), Math.sqrt(lot()) * 82];
        c.fillStyle = hsl(hue + lot(-10, 10), 48, lot(24, 46));
        oval(x + Math.cos(turn) * far, y + Math.sin(turn) * far * 0.85, lot(10, 24), lot(10, 22));
      }
    },
    car() {
      sky();
      fade("#777b80", "#4c4f53", 215);
      c.fillStyle = "#e9e6d8";
      for (let dash = lot(-40, 0); dash < SIDE; dash += 70) c.fillRect(dash, 286, 38, 6);
      const [x, y, hue] = [lot(35, 60), lot(165, 180), lot(0, 360)];
      c.fillStyle = hsl(hue, 70, 44);
      outline([x + 46, y], [x + 82, y - 46], [x + 168, y - 46], [x + 206, y]);
      c.beginPath();
      c.roundRect(x, y - 2, 236, 58, 18);
      c.fill();
      c.fillStyle = hsl(200, 45, 80);
      outline([x + 60, y - 2], [x + 88, y - 38], [x + 122, y - 38], [x + 122, y - 2]);
      outline([x + 130, y - 2], [x + 130, y - 38], [x + 162, y - 38], [x + 192, y - 2]);
      for (const wheel of [54, 184]) {
        c.fillStyle = "#1b1c1e";
        oval(x + wheel, y + 56, 27, 27);
        c.fillStyle = "#b9bdc2";
        oval(x + wheel, y + 56, 13, 13);
      }
    },
  };
  kinds[kind]();
  return canvas.toDataURL("image/jpeg", 0.9).split(",")[1];
}

export const KINDS = ["flower", "fish", "house", "tree", "car"];

/** So many pictures of each kind, as files for a page: `{ name, mimeType, buffer }`. */
export async function drawn(page, each) {
  const files = [];
  for (const kind of KINDS) {
    for (let number = 0; number < each; number += 1) {
      const base64 = await page.evaluate(draw, [kind, number]);
      files.push({ name: `${kind}-${number}.jpg`, mimeType: "image/jpeg", buffer: Buffer.from(base64, "base64") });
    }
  }
  return files;
}
