import { thumbnailUrl } from "../api";
import { collection } from "../session";
import { shortName } from "../words";

interface PictureProps {
  image: string;
  name?: string | undefined;
  alt?: string;
  eager?: boolean;
}

/** A thumbnail, fetched once it comes near the window. */
export function Picture({ image, name, alt, eager }: PictureProps) {
  return (
    <img
      src={thumbnailUrl(collection.value, image)}
      alt={alt ?? (name ? shortName(name) : `picture ${image.slice(0, 8)}`)}
      loading={eager ? "eager" : "lazy"}
      decoding="async"
      draggable={false}
    />
  );
}
