CREATE TABLE book (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    author text NOT NULL CHECK (length(author) BETWEEN 1 AND 200),
    year integer,
    status text NOT NULL CHECK (status IN ('wanted', 'reading', 'read')),
    notes text NOT NULL DEFAULT '',
    UNIQUE (title, author)
);
