INSERT INTO book (title, author, year, status, notes) VALUES
    ('Frankenstein', 'Mary Shelley', 1818, 'read', 'Begun in a summer without sun, finished at nineteen.'),
    ('Middlemarch', 'George Eliot', 1871, 'reading', 'A town, four marriages, and every reason why.'),
    ('The Waves', 'Virginia Woolf', 1931, 'wanted', ''),
    ('Invisible Cities', 'Italo Calvino', 1972, 'read', 'Fifty-five cities, or one.'),
    ('The Left Hand of Darkness', 'Ursula K. Le Guin', 1969, 'reading', ''),
    ('One Hundred Years of Solitude', 'Gabriel García Márquez', 1967, 'read', 'Keep the family tree at hand.'),
    ('Things Fall Apart', 'Chinua Achebe', 1958, 'wanted', ''),
    ('The Makioka Sisters', 'Jun''ichirō Tanizaki', 1948, 'wanted', '');
