package dev.culld.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImageFilesTest {
  @Test
  void filesComeByNameAndLoopsOfLinksEnd(@TempDir Path root) throws IOException {
    Files.createDirectory(root.resolve("b"));
    for (String name : List.of("c.jpg", "b/z.jpg", "b/.hidden", "a b.jpg")) {
      Files.writeString(root.resolve(name), name);
    }
    Files.createSymbolicLink(root.resolve("b/loop"), root);
    Files.createSymbolicLink(root.resolve("d.jpg"), root.resolve("nowhere"));
    var found = ImageSource.walk(root).toList();
    assertEquals(List.of("a b.jpg", "b/z.jpg", "c.jpg", "d.jpg"), found.stream().map(ImageSource::key).toList());
    assertThrows(IOException.class, () -> found.get(3).read());
    var image = found.get(0).read();
    assertEquals("a b.jpg", image.getData().toStringUtf8());
    assertTrue(image.getUri().startsWith("file:///") && image.getUri().endsWith("/a%20b.jpg"), image.getUri());
    assertTrue(image.hasModifyTime());
    assertEquals(ImageSource.imageId(image.getData().toByteArray()), ImageSource.imageId(root.resolve("a b.jpg")));
  }

  @Test
  void aFileIsItsOwnSourceAndAFolderThatIsNotThereToo(@TempDir Path root) throws IOException {
    Path file = Files.writeString(root.resolve("one.jpg"), "1");
    assertEquals(List.of(file.toString()), ImageSource.walk(file).map(ImageSource::key).toList());
    var missing = ImageSource.walk(root.resolve("missing")).toList();
    assertEquals(1, missing.size());
    assertThrows(IOException.class, () -> missing.get(0).read());
  }

  @Test
  void urisAreThoseOfTheCommandLine() {
    assertEquals("file:///a%20b/%25%23%3F%C3%A9.jpg", ImageFiles.uri(Path.of("/a b/%#?\u00e9.jpg")));
  }
}
