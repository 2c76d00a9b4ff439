/**
 * Pictures, as sent to the service and as drawn.
 *
 * A picture is {address, image, name, foreign}. `address` goes to the service: a data: URI or a web address. `image` is
 * an HTMLImageElement, or null where the browser cannot show it. `foreign` means another origin: a browser shows such
 * a picture, but does not let a page copy its pixels.
 */
import { Trouble } from "./trouble.js";

const READ_BY_SERVICE = new Set(
  ["jpeg", "png", "webp", "avif", "gif", "bmp", "tiff"].map(kind => `image/${kind}`),
);
const SHOW_LIMIT_MS = 20_000;

export async function pictureFromFile(file) {
  const name = file.name || "the pasted picture";
  if (file.size === 0) throw new Trouble(`“${name}” is empty.`);
  const local = URL.createObjectURL(file);
  const image = await shown(local);
  URL.revokeObjectURL(local); // the image keeps what it has loaded
  if (!image && file.type !== "image/tiff") {
    throw new Trouble(`“${name}” is not a supported picture. Choose a JPEG, PNG, WebP, AVIF, GIF or BMP file.`);
  }
  const address = READ_BY_SERVICE.has(file.type) ? await dataUri(file) : encoded(image, 1, "image/png");
  return { address, image, name, foreign: false };
}

export async function pictureFromAddress(address) {
  const inline = address.startsWith("data:");
  return { address, image: await shown(address), name: "the picture", foreign: !inline };
}

/** The image of a picture with readable pixels, or null if the server of a foreign picture forbids it. */
export async function copyable(picture) {
  return picture.foreign ? shown(picture.address, "anonymous") : picture.image;
}

/** The same picture with about this share of its characters, or null if it cannot be made smaller. */
export function smaller(picture, share) {
  if (!picture.image || picture.foreign || !picture.address.startsWith("data:")) return null;
  const { naturalWidth, naturalHeight } = picture.image;
  let scale = Math.min(1, Math.sqrt(share));
  const wanted = picture.address.length * share;
  while (Math.min(naturalWidth, naturalHeight) * scale >= 64) {
    const address = encoded(picture.image, scale, "image/jpeg");
    if (address.length <= wanted) {
      const size = `${Math.round(naturalWidth * scale)} × ${Math.round(naturalHeight * scale)}`;
      return { ...picture, address, reduced: size };
    }
    scale *= 0.8;
  }
  return null;
}

async function shown(address, crossOrigin = null) {
  const image = new Image();
  image.crossOrigin = crossOrigin;
  image.referrerPolicy = "no-referrer";
  const loaded = new Promise(resolve => {
    image.onload = () => resolve(image);
    image.onerror = () => resolve(null);
    setTimeout(() => resolve(null), SHOW_LIMIT_MS);
  });
  image.src = address;
  return loaded.then(found => (found && found.naturalWidth > 0 ? found : null));
}

function encoded(image, scale, type) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL(type, 0.9);
}

function dataUri(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Trouble(`“${file.name}” could not be read: ${reader.error.message}`));
    reader.readAsDataURL(file);
  });
}
