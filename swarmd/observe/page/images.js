// The images of a question, which the peer that serves this page drew itself.
import { h } from "./text.js";

/** The images side by side; null if there are none. */
export function pictures(images) {
  return images?.length ? h("div", { class: "pictures" }, images.map(canvas)) : null;
}

function canvas({ width, height, pixels }) {
  const element = h("canvas", { width, height, role: "img", "aria-label": `an image of ${width} x ${height} pixels` });
  const rgb = atob(pixels), context = element.getContext("2d"), data = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let channel = 0; channel < 3; channel++) data.data[4 * i + channel] = rgb.charCodeAt(3 * i + channel);
    data.data[4 * i + 3] = 255;
  }
  context.putImageData(data, 0, 0);
  return element;
}
